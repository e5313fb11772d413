//! A replica that answers nothing itself: it tells the benchmark at ADDRESS to answer at `PORT`, as the KIND of server that
//! it names, for as long as this process lives. `stand-in ADDRESS KIND`

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;

fn main() -> ExitCode {
    match stand_in() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("stand-in: {why}");
            ExitCode::FAILURE
        }
    }
}

fn stand_in() -> Result<(), String> {
    let mut words = std::env::args().skip(1);
    let (Some(address), Some(kind)) = (words.next(), words.next()) else {
        return Err("expected ADDRESS KIND".into());
    };
    let port = std::env::var("PORT").map_err(|error| format!("PORT: {error}"))?;
    let wrong = |error: std::io::Error| format!("{address}: {error}");
    let mut stream = TcpStream::connect(&address).map_err(wrong)?;
    stream.write_all(format!("{kind} {port}\n").as_bytes()).map_err(wrong)?;
    // It says nothing, and ends when the benchmark does.
    stream.read_to_end(&mut Vec::new()).map_err(wrong).map(drop)
}
