//! External components in the simulated world: the far ends of their streams (XEP-0114), beside those of
//! clients.

use super::Simulated;
use crate::world::Link;
use server::{Server, component::Component, connection::Todo};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};
use xmpp::StreamError;

/// Links from here on are those of components.
const FIRST: Link = 1 << 20;

/// The streams of components.
#[derive(Default)]
pub(super) struct Components(Vec<Line>);

/// A connection from both ends.
struct Line {
    /// The server's end, until either side has closed.
    component: Option<Component>,
    towards_server: Vec<u8>,
    towards_component: Vec<u8>,
}

impl Components {
    pub(super) fn connect(&mut self, server: Arc<Server>) -> Link {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.0.push(Line {
            component: Some(Component::new(server, address)),
            towards_server: Vec::new(),
            towards_component: Vec::new(),
        });
        FIRST + self.0.len() - 1
    }

    pub(super) fn has(link: Link) -> bool {
        link >= FIRST
    }

    pub(super) fn write(&mut self, link: Link, bytes: &[u8]) {
        self.0[link - FIRST].towards_server.extend_from_slice(bytes);
    }

    pub(super) fn read(&mut self, link: Link) -> Vec<u8> {
        std::mem::take(&mut self.0[link - FIRST].towards_component)
    }

    pub(super) fn is_closed(&self, link: Link) -> bool {
        self.0[link - FIRST].component.is_none()
    }

    /// The server's end, which is to leave.
    pub(super) fn cut(&mut self, link: Link) -> Option<Component> {
        self.0[link - FIRST].component.take()
    }

    /// The server is gone, and with it its ends.
    pub(super) fn drop_all(&mut self) {
        for line in &mut self.0 {
            line.component = None;
        }
    }

    pub(super) fn end_all(&mut self, error: StreamError) {
        for component in self.open() {
            component.end(error);
        }
    }

    pub(super) fn tick(&mut self) {
        for component in self.open() {
            component.tick();
        }
    }

    pub(super) fn deadlines(&self) -> impl Iterator<Item = u64> {
        let lines = self.0.iter();
        lines.filter_map(|line| line.component.as_ref()?.deadline())
    }

    fn open(&mut self) -> impl Iterator<Item = &mut Component> {
        let lines = self.0.iter_mut();
        lines.filter_map(|line| line.component.as_mut())
    }
}

impl Simulated {
    /// Does for all components what the tasks of their sockets do, until they wait; whether anything
    /// happened.
    pub(super) fn drive_components(&mut self) -> bool {
        let mut components = std::mem::take(&mut self.components);
        let mut moved = false;
        for line in &mut components.0 {
            while self.drive_component(line) {
                moved = true;
            }
        }
        self.components = components;
        moved
    }

    fn drive_component(&self, line: &mut Line) -> bool {
        let Some(component) = &mut line.component else {
            return false;
        };
        let todo = self.now(component.step());
        let output = std::mem::take(component.output());
        let wrote = !output.is_empty();
        if wrote {
            line.towards_component.extend(output);
            component.written();
        }
        match todo {
            Todo::Close => {
                self.now(component.leave());
                line.component = None;
                true
            }
            Todo::Read if !line.towards_server.is_empty() => {
                component.push(&std::mem::take(&mut line.towards_server));
                true
            }
            _ => wrote,
        }
    }
}
