//! gRPC's interoperability programs: a client that goes through the test cases which all implementations agree on, and the
//! server for them (grpc.io's `interop-test-descriptions.md`). grpc-go's, built once.

use std::path::Path;
use std::process::Command;

use crate::binaries::Binaries;
use crate::failure::Failure;

const CLIENT: &str = "grpc-interop-client";
const SERVER: &str = "grpc-interop-server";

/// Both programs.
pub struct Interop(Binaries);

impl Interop {
    /// Finds them, or builds what is missing. Blocks: building takes a minute or two.
    pub fn find() -> Result<Interop, Failure> {
        Binaries::find(&[CLIENT, SERVER]).map(Interop)
    }

    /// The client, which takes `--server_host`, `--server_port` and `--test_case`.
    pub fn client(&self) -> Result<Command, Failure> {
        self.0.command(CLIENT)
    }

    /// The path of the server, which takes `--port`.
    pub fn server(&self) -> Result<String, Failure> {
        let command = self.0.command(SERVER)?;
        Ok(Path::new(command.get_program()).display().to_string())
    }
}
