//! What a piece of work costs a server.

use crate::{
    disk::{Device, DeviceWork},
    process::Process,
};
use anyhow::Result;
use std::time::Duration;

/// What a server has done since a moment at which it was at rest.
pub(crate) struct Meter {
    process: Process,
    cpu: Duration,
    device: Option<(Device, DeviceWork)>,
}

impl Meter {
    pub(crate) async fn start(process: Process, device: Option<Device>) -> Result<Meter> {
        process.rest().await?;
        let work = device.as_ref().map(Device::work).transpose()?;
        Ok(Meter {
            process,
            cpu: process.cpu()?,
            device: device.zip(work),
        })
    }

    /// Once it is at rest again.
    pub(crate) async fn stop(self) -> Result<(Duration, Option<DeviceWork>)> {
        self.process.rest().await?;
        let cpu = self.process.cpu()?.saturating_sub(self.cpu);
        let Some((device, before)) = self.device else {
            return Ok((cpu, None));
        };
        let after = device.work()?;
        let (bytes, flushes) = (after.bytes - before.bytes, after.flushes - before.flushes);
        Ok((cpu, Some(DeviceWork { bytes, flushes })))
    }
}
