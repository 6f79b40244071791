//! Event files for TensorBoard: loss, learning rate, gradient norm and the metrics of evaluations, as scalars. Trouble with the file is told
//! once and never stops training.
//!
//! A file is a row of TFRecords (<https://www.tensorflow.org/tutorials/load_data/tfrecord>), each of which holds one message `Event` of
//! `tensorboard/compat/proto/event.proto`. The few fields that scalars need are written here by hand.

use crate::error::TrainError;
use crate::events::{Event, Observer};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(test)]
mod tests;

/// What the name of each event file begins with; TensorBoard knows them by it.
const PREFIX: &str = "events.out.tfevents.";
/// The version of the format, which the first record of a file says.
const VERSION: &str = "brain.Event:2";

/// An observer that appends to an event file.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
    complained: bool,
    complaint: Option<String>,
}

impl EventFile {
    /// Starts an event file in `folder`, and removes those of an earlier run.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn create(folder: &Path) -> Result<EventFile, TrainError> {
        EventFile::clear(folder)?;
        EventFile::start(folder, None)
    }

    /// Removes the event files of a folder, if there is one.
    ///
    /// # Errors
    /// One cannot be removed.
    pub fn clear(folder: &Path) -> Result<(), TrainError> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(TrainError::io("read", folder))?,
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX)) {
                fs::remove_file(&path).map_err(TrainError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Goes on in `folder` after a resume from the checkpoint of `step` done steps: a new file, which says that what earlier ones hold of later
    /// steps does not count.
    ///
    /// # Errors
    /// As [`EventFile::create`].
    pub fn resume(folder: &Path, step: u64) -> Result<EventFile, TrainError> {
        EventFile::start(folder, Some(step + 1))
    }

    fn start(folder: &Path, again_from: Option<u64>) -> Result<EventFile, TrainError> {
        fs::create_dir_all(folder).map_err(TrainError::io("make", folder))?;
        let seconds = now();
        // TensorBoard reads the files of a folder in the order of their names; two may be of one second.
        let mut number = 0;
        let (path, file) = loop {
            let path = folder.join(format!("{PREFIX}{:010}.{number:03}", seconds as u64));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 999 => number += 1,
                made => break (path.clone(), made.map_err(TrainError::io("make", &path))?),
            }
        };
        let mut events = EventFile { path, file, complained: false, complaint: None };
        let begin = again_from.map(|step| record(&message(seconds, step, &restart())));
        let head = [record(&message(seconds, 0, &text_field(3, VERSION))), begin.unwrap_or_default()].concat();
        events.file.write_all(&head).map_err(TrainError::io("write", &events.path))?;
        Ok(events)
    }

    fn append(&mut self, step: u64, scalars: &[(String, f64)]) -> io::Result<()> {
        // One write a record, so that a killed process tears at most the last; TensorBoard leaves a torn end alone.
        self.file.write_all(&record(&message(now(), step, &summary(scalars))))
    }
}

impl Observer for EventFile {
    fn on(&mut self, event: &Event) {
        let done = match event {
            Event::Step { step, loss, learning_rate, gradient_norm, .. } => {
                let named = [("loss", *loss), ("learning_rate", *learning_rate), ("gradient_norm", *gradient_norm)];
                self.append(*step, &named.map(|(name, value)| (format!("train/{name}"), value)))
            }
            Event::Evaluated { split, step, summary, .. } => {
                let named = summary.values.iter().map(|(name, value)| (format!("{split}/{}", name.name()), *value));
                self.append(*step, &named.collect::<Vec<_>>())
            }
            Event::CheckpointSaved { .. } => self.file.sync_data(),
            _ => return,
        };
        if let Err(error) = done
            && !self.complained
        {
            self.complained = true;
            let path = self.path.display();
            self.complaint = Some(format!("could not write {path}: {error}; training goes on, points may be missing"));
        }
    }

    fn complaint(&mut self) -> Option<String> {
        self.complaint.take()
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A TFRecord: length, its checksum, the bytes, their checksum.
fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), bytes, &masked(bytes)].concat()
}

/// A CRC-32C as TFRecords hold it: rotated, and moved, so that it differs from that of bytes that hold a checksum themselves.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8).to_le_bytes()
}

/// An `Event` with this content.
fn message(wall_time: f64, step: u64, content: &[u8]) -> Vec<u8> {
    const DOUBLE: u64 = 1;
    const VARINT: u64 = 0;
    let mut bytes = varint(1 << 3 | DOUBLE);
    bytes.extend(wall_time.to_le_bytes());
    if step > 0 {
        bytes.extend([varint(2 << 3 | VARINT), varint(step)].concat());
    }
    bytes.extend(content);
    bytes
}

/// A `Summary` of scalars, as the field of an event.
fn summary(scalars: &[(String, f64)]) -> Vec<u8> {
    const FLOAT: u64 = 5;
    let value = |(tag, value): &(String, f64)| {
        let number = [varint(2 << 3 | FLOAT), (*value as f32).to_le_bytes().to_vec()].concat();
        bytes_field(1, &[text_field(1, tag), number].concat())
    };
    bytes_field(5, &scalars.iter().map(value).collect::<Vec<_>>().concat())
}

/// A `SessionLog` that says START, as the field of an event.
fn restart() -> Vec<u8> {
    bytes_field(7, &[1 << 3, 1])
}

fn text_field(number: u64, text: &str) -> Vec<u8> {
    bytes_field(number, text.as_bytes())
}

fn bytes_field(number: u64, bytes: &[u8]) -> Vec<u8> {
    const BYTES: u64 = 2;
    [varint(number << 3 | BYTES), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// Seven bits a byte, the lowest first.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
