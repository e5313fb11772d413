//! A cluster to look at by hand, until it is interrupted or killed: `testbed` plays the pods of the namespace `default`,
//! `testbed node` has a real node. The first line says how to reach it, as JSON; nothing stays behind.

use std::process::ExitCode;
use std::time::Instant;

use kaos_testbed::{Behaviour, ControlPlane, Failure, Kubelet, Node};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let ended = match std::env::args().nth(1).as_deref() {
        None => played().await,
        Some("node") => real().await,
        Some(_) => {
            eprintln!("usage: testbed [node]");
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("testbed: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn played() -> Result<(), Failure> {
    let began = Instant::now();
    let plane = ControlPlane::start().await?;
    let _kubelet = Kubelet::start(&plane, "default", Behaviour::default()).await?;
    say(&plane, began)?;
    interrupted().await;
    Ok(())
}

async fn real() -> Result<(), Failure> {
    let began = Instant::now();
    let plane = ControlPlane::start_for_pods().await?;
    let _node = Node::start(&plane).await?;
    say(&plane, began)?;
    interrupted().await;
    Ok(())
}

fn say(plane: &ControlPlane, began: Instant) -> Result<(), Failure> {
    let processes = plane.processes().into_iter();
    let processes = processes.map(|(name, pid, memory)| json!({"name": name, "pid": pid, "memory": memory}));
    let said = json!({
        "kubeconfig": plane.kubeconfig(plane.admin())?,
        "server": plane.server(),
        "seconds": began.elapsed().as_secs_f64(),
        "processes": processes.collect::<Vec<_>>(),
    });
    println!("{said}");
    Ok(())
}

async fn interrupted() {
    // Without a signal to wait for there is nothing to wait for.
    let _ = tokio::signal::ctrl_c().await;
}
