//! `kaos install`: prints what a cluster needs. What is printed is `manifests/base`, with the values that were asked for.
//!
//! The files there are the one source: they are built in, and the three values that people choose are put in place of
//! the usual ones. Where TLS is asked for, or Secrets with certificates are named, `tls` adds what that needs, `gate` what
//! it needs to be asked by other proxies, and `external` by autoscalers. The Helm chart is made from the same files and the same three
//! (`examples/chart`).

mod external;
mod gate;
mod tls;
mod uninstall;

use std::io::Write;

use crate::cli::cluster::{DOMAIN, Install, SYSTEM};
use crate::failure::Failure;
use crate::instance::VERSION;

pub(crate) use uninstall::uninstall;

/// The files of `manifests/base`, in the order in which they are applied.
const FILES: [&str; 10] = [
    include_str!("../../manifests/base/namespace.yaml"),
    include_str!("../../manifests/base/accounts.yaml"),
    include_str!("../../manifests/base/roles.yaml"),
    include_str!("../../manifests/base/victims.yaml"),
    include_str!("../../manifests/base/own.yaml"),
    include_str!("../../manifests/base/proxy.yaml"),
    include_str!("../../manifests/base/autoscaler.yaml"),
    include_str!("../../manifests/base/disruption.yaml"),
    include_str!("../../manifests/base/network.yaml"),
    include_str!("../../manifests/base/ingress-class.yaml"),
];

/// The image where nothing else is said.
pub(crate) fn usual_image() -> String {
    format!("kaos:{VERSION}")
}

/// Prints the manifests.
pub(crate) fn install(install: &Install) -> Result<(), Failure> {
    let secrets = install.secrets.named()?;
    let text = manifests(install);
    let text = match install.tls || !secrets.is_empty() {
        true => tls::with(&text, &secrets, &install.place.namespace),
        false => text,
    };
    let text = if install.gate { gate::with(&text, &install.place.namespace) } else { text };
    let text = if install.external_metrics { external::with(&text, &install.place.namespace) } else { text };
    let mut out = std::io::stdout().lock();
    let said = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    said.map_err(|error| Failure::Failed(format!("stdout: {error}")))
}

/// All of it as one stream of YAML documents. The values are of characters that YAML takes as they are.
fn manifests(install: &Install) -> String {
    let image = install.image.clone().unwrap_or_else(usual_image);
    FILES
        .join("---\n")
        .replace(&image_line(&usual_image()), &image_line(&image))
        .replace(&domain_line(DOMAIN), &domain_line(&install.inferred.domain))
        .replace(SYSTEM, &install.place.namespace)
}

fn image_line(image: &str) -> String {
    format!("          image: {image}\n")
}

fn domain_line(domain: &str) -> String {
    format!("            - name: KAOS_DOMAIN\n              value: \"{domain}\"\n")
}

#[cfg(test)]
mod asked_test;
#[cfg(test)]
mod chart_test;
#[cfg(test)]
mod tests;
