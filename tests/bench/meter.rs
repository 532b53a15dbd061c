//! What a piece of work costs a server.

use crate::{
    disk::{Device, DeviceWork},
    process::Process,
    table::{Figure, figure},
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

/// What each of some things cost that were done one after the other: `what` was done, and how long each took
/// until what had happened.
pub(crate) fn one_by_one(
    (what, until): (&str, &str),
    (cpu, device): (Duration, Option<DeviceWork>),
    mut times: Vec<Duration>,
) -> Vec<Figure> {
    times.sort_unstable();
    let each = |sum: f64| sum / times.len() as f64;
    let median = times[times.len() / 2].as_secs_f64() * 1e3;
    let mut figures = vec![
        figure(format!("{what}, CPU µs"), each(cpu.as_secs_f64() * 1e6)),
        figure(format!("{what} {until}, p50 ms"), median),
    ];
    if let Some(device) = device {
        figures.push(figure(
            format!("{what}, bytes to the block device"),
            each(device.bytes as f64),
        ));
        figures.push(figure(
            format!("{what}, flushes of the block device"),
            each(device.flushes as f64),
        ));
    }
    figures
}
