//! A control plane to look at by hand: plays the pods of the namespace `default` until it is interrupted or killed.
//! The first line says how to reach it, as JSON; nothing stays behind.

use std::process::ExitCode;

use kaos_testbed::{Behaviour, ControlPlane, Failure, Kubelet};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("testbed: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let plane = ControlPlane::start().await?;
    let _kubelet = Kubelet::start(&plane, "default", Behaviour::default()).await?;
    let processes = plane.processes().into_iter();
    let processes = processes.map(|(name, pid, memory)| json!({"name": name, "pid": pid, "memory": memory}));
    let said = json!({
        "kubeconfig": plane.kubeconfig(plane.admin())?,
        "server": plane.server(),
        "processes": processes.collect::<Vec<_>>(),
    });
    println!("{said}");
    // Without a signal to wait for there is nothing to wait for.
    let _ = tokio::signal::ctrl_c().await;
    Ok(())
}
