//! Writes the seeds of a target into a folder: `seeds dns FOLDER`.

use std::path::Path;

use buntime_network::fuzzing::{dns_seeds, http_seeds};

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (seeds, folder) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["dns", folder] => (dns_seeds(), folder),
        ["http", folder] => (http_seeds(), folder),
        _ => return Err(std::io::Error::other("expected dns or http, and a folder")),
    };
    for (number, seed) in seeds.into_iter().enumerate() {
        std::fs::write(Path::new(folder).join(format!("seed-{number}")), seed)?;
    }
    Ok(())
}
