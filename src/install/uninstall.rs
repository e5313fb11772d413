//! `kaos uninstall`: prints what Kaos will put back before it goes; `--yes` does it. The manifests are deleted afterwards,
//! by whoever applied them.

use std::io::Write;
use std::time::Duration;

use kaos_kubernetes::change::{Plan, Trouble, Uninstall as Leaving};
use serde_json::{Value, json};

use crate::ask::Cluster;
use crate::ask::print::{json as print_json, print};
use crate::cli::Form;
use crate::cli::cluster::Uninstall;
use crate::failure::Failure;

/// The autoscalers' Deployment.
const AUTOSCALER: &str = "kaos-autoscaler";
/// Longest wait for the Lease: a pod gets 15 s to end, and a Lease that isn't given back runs out after 15 s.
const PATIENCE: Duration = Duration::from_secs(45);

/// Runs the command.
pub(crate) fn uninstall(args: &Uninstall) -> Result<(), Failure> {
    crate::ask::run(leave(args))
}

async fn leave(args: &Uninstall) -> Result<(), Failure> {
    let cluster = Cluster::connect(&args.kubeconfig).await?;
    let namespace = &args.place.namespace;
    let mut leaving = Leaving::new(cluster.client(), namespace);
    // What can't be read is known before anything is stopped.
    let mut plan = leaving.plan().await.map_err(|trouble| failed(&trouble))?;
    if args.yes {
        let stopped = stop(&cluster, namespace).await?;
        leaving.lead(PATIENCE).await.map_err(|trouble| not_led(&trouble, stopped, namespace))?;
        plan = leaving.plan().await.map_err(|trouble| failed(&trouble))?;
    }
    say(args, &plan)?;
    if !args.yes {
        return Ok(());
    }
    let failed = leaving.apply(&plan).await;
    if failed.is_empty() {
        return match args.output.form {
            Form::Json => Ok(()),
            Form::Text => print(
                "Done. What is left is deleted with: kaos install | kubectl delete -f -\n\
                 where kaos install has the flags that it was installed with (--namespace, --tls-secret, --gate, --external-metrics);\n\
                 what Helm has installed, with helm uninstall\n",
            ),
        };
    }
    let lines: Vec<String> =
        failed.iter().map(|(workload, trouble)| format!("{workload}: {trouble}")).collect();
    Err(Failure::Failed(format!(
        "these weren't put back; the same command tries again\n{}",
        lines.join("\n")
    )))
}

fn failed(trouble: &Trouble) -> Failure {
    Failure::Failed(trouble.to_string())
}

/// Without the autoscalers what sleeps stays asleep: whoever stopped them is told.
fn not_led(trouble: &Trouble, stopped: bool, namespace: &str) -> Failure {
    let mut text = trouble.to_string();
    if stopped {
        text.push_str(&format!(
            "\nthe autoscalers are stopped: nothing wakes until this command succeeds, or they are started again with\n  \
             kubectl scale deployment {AUTOSCALER} -n {namespace} --replicas=2"
        ));
    }
    Failure::Failed(text)
}

fn say(args: &Uninstall, plan: &Plan) -> Result<(), Failure> {
    let nothing = plan.restorations.is_empty() && plan.gone.is_empty() && plan.unseen.is_empty();
    match args.output.form {
        Form::Json => print_json(&shown(plan)),
        Form::Text if nothing => print("There is nothing to put back.\n"),
        Form::Text if args.yes => print(&plan.to_string()),
        Form::Text => {
            print(&format!("{plan}Nothing was changed; --yes stops the autoscalers and does it.\n"))
        }
    }
}

fn shown(plan: &Plan) -> Value {
    let put_back = plan.restorations.iter().map(|(workload, restoration)| {
        json!({
            "workload": workload,
            "from": restoration.from,
            "to": restoration.to,
            "hold": restoration.hold,
            "deletion_costs": restoration.retired,
        })
    });
    let unseen =
        plan.unseen.iter().map(|(workload, why)| json!({ "workload": workload, "why": why.to_string() }));
    json!({
        "restored": put_back.collect::<Vec<_>>(),
        "gone": plan.gone,
        "unseen": unseen.collect::<Vec<_>>(),
    })
}

/// Stops the autoscalers, where they run as they are installed: others must be stopped by whoever runs them. Whether they
/// are.
async fn stop(cluster: &Cluster, namespace: &str) -> Result<bool, Failure> {
    let deployment = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{AUTOSCALER}");
    let stopped = cluster.stop(&deployment).await?;
    if !stopped {
        // Nobody is left to be told that stderr is closed.
        let _ = writeln!(
            std::io::stderr(),
            "there is no Deployment {namespace}/{AUTOSCALER}: autoscalers that run elsewhere must be stopped"
        );
    }
    Ok(stopped)
}
