//! The command line: what may be said, and its help. Does nothing.

#[cfg(feature = "kubernetes")]
pub(crate) mod adopt;
#[cfg(feature = "kubernetes")]
pub(crate) mod check;
#[cfg(feature = "kubernetes")]
pub(crate) mod cluster;
mod name;
#[cfg(feature = "kubernetes")]
pub(crate) mod secrets;
#[cfg(feature = "kubernetes")]
pub(crate) mod selection;
pub(crate) mod simulate;

use std::path::PathBuf;

use clap::builder::styling::Styles;
use clap::{ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum};
use kaos_core::Policy;
use kaos_core::knob::{KNOBS, Knob};

use self::name::label;
use crate::config::Settings;

/// Serverless for any cluster and any laptop: whatever answers HTTP runs when it is needed and not otherwise.
#[derive(Parser, Debug)]
#[command(name = "kaos", version, styles = Styles::plain(), disable_help_subcommand = true, max_term_width = 120)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong command line, 78 wrong configuration, 130 interrupted."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run functions on this machine: proxy, autoscaler and replicas
    #[command(after_help = UP_AFTER)]
    Up(Box<Up>),
    /// Run the proxy: takes requests in a cluster, and holds them while nothing is ready
    #[cfg(feature = "kubernetes")]
    Proxy(Box<cluster::Proxy>),
    /// Run the autoscaler: decides counts in a cluster by what the proxies report
    #[cfg(feature = "kubernetes")]
    Autoscaler(Box<cluster::Autoscaler>),
    /// List what runs here: state, replicas, load
    Ls(Ask),
    /// Show one function: state, replicas, knobs
    Describe(AskOne),
    /// Say why a function has the replicas that it has, and what comes next
    Explain(Explain),
    /// Forget what was learned of a function's calls, and learn it anew
    Forget(AskOne),
    /// Show what the replicas of a function have written
    Logs(Logs),
    /// Send a request to a function by its name
    Invoke(Invoke),
    /// Replay recorded traffic under several policies, and compare cold starts, waits and replica time
    #[command(after_help = simulate::AFTER)]
    Simulate(Box<simulate::Simulate>),
    /// Say what makes it unsafe or slow for a Deployment to sleep, and what to do about it
    #[cfg(feature = "kubernetes")]
    #[command(after_help = check::AFTER)]
    Check(Box<check::Check>),
    /// Say in Kaos's annotations what KEDA, Knative, OpenFaaS, Sablier or Osiris have been told, and with --apply set them
    #[cfg(feature = "kubernetes")]
    #[command(after_help = adopt::AFTER)]
    Adopt(Box<adopt::Adopt>),
    /// Print what a cluster needs to run Kaos, as YAML
    #[cfg(feature = "kubernetes")]
    Install(cluster::Install),
    /// Say what Kaos puts back before it leaves a cluster, and with --yes do it
    #[cfg(feature = "kubernetes")]
    Uninstall(cluster::Uninstall),
    /// Make an image of a static binary, without any daemon
    #[cfg(feature = "kubernetes")]
    Image(cluster::Image),
    /// Print the version of this command and of the Kaos that runs
    Version(Ask),
    /// The built-in function.
    #[command(hide = true, name = HELLO)]
    Hello,
    /// The parent of all replicas.
    #[command(hide = true, name = GUARDIAN)]
    Guardian,
}

/// The hidden command that is the parent of all replicas.
pub(crate) const GUARDIAN: &str = "replica-guardian";

/// The hidden command that is the built-in function.
pub(crate) const HELLO: &str = "replica-hello";

const UP_AFTER: &str = "\
Without --config and CMD: ./kaos.toml if there is one, else a built-in function that says hello.
A replica is a child process with PORT in its environment; {port} in its arguments is replaced.

  kaos up
  kaos up -- python3 -m http.server {port}
  kaos up --config shop.toml --listen 127.0.0.1:8080 --admin 127.0.0.1:9090";

/// `kaos up`.
#[derive(Args, Debug)]
pub(crate) struct Up {
    /// The functions to run [default: ./kaos.toml if there is one]
    #[arg(long, env = "KAOS_CONFIG", value_name = "FILE", conflicts_with = "cmd")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Name of the one function [default: made from CMD]
    #[arg(long, env = "KAOS_NAME", value_parser = label)]
    pub(crate) name: Option<String>,
    /// Host of the one function besides every other; may be repeated [default: NAME.localhost]
    #[arg(long, env = "KAOS_HOST", value_delimiter = ',', value_parser = host)]
    pub(crate) host: Vec<kaos_core::host::HostPattern>,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) knobs: Knobs,
    /// The one function: a program that answers HTTP on PORT
    #[arg(last = true, value_name = "CMD")]
    pub(crate) cmd: Vec<String>,
}

/// How to answer.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Form of what goes to stdout
    #[arg(short = 'o', long = "output", env = "KAOS_OUTPUT", value_enum, default_value_t = Form::Text, value_name = "FORM")]
    pub(crate) form: Form,
}

/// Form of an answer.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A question to a running Kaos.
#[derive(Args, Clone, Debug)]
pub(crate) struct Ask {
    /// Its admin port, such as http://127.0.0.1:9090 [default: the Kaos that runs here]
    #[arg(long, env = "KAOS_ADMIN", value_name = "URL")]
    pub(crate) admin: Option<String>,
    #[cfg(feature = "kubernetes")]
    #[command(flatten)]
    pub(crate) cluster: cluster::InCluster,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// A question about one function.
#[derive(Args, Clone, Debug)]
pub(crate) struct AskOne {
    /// NAME or NAMESPACE/NAME
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) ask: Ask,
}

/// `kaos explain`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Explain {
    /// Say how much it slept, or would have slept where it is only observed, and which idle timeout would cost less
    #[arg(long)]
    pub(crate) advice: bool,
    #[command(flatten)]
    pub(crate) one: AskOne,
}

/// `kaos logs`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Logs {
    /// Go on as more is written
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) one: AskOne,
}

/// `kaos invoke`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Invoke {
    #[command(flatten)]
    pub(crate) one: AskOne,
    /// What to ask for
    #[arg(default_value = "/")]
    pub(crate) path: String,
    /// Send this with POST; - reads it from stdin
    #[arg(short, long)]
    pub(crate) data: Option<String>,
}

/// Knobs of the one function that were given as flags or in the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Knobs(pub Vec<(&'static str, String)>);

impl Args for Knobs {
    fn augment_args(command: clap::Command) -> clap::Command {
        KNOBS.iter().fold(command, |command, knob| command.arg(flag(knob)))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Knobs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |knob: &Knob| Some((knob.name, matches.get_one::<String>(knob.name)?.clone()));
        Ok(Knobs(KNOBS.iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The name of a flag or key in the environment.
pub(crate) fn variable(name: &str) -> String {
    format!("KAOS_{}", name.to_uppercase().replace('-', "_"))
}

fn flag(knob: &'static Knob) -> clap::Arg {
    let read = |text: &str| {
        let mut scratch = Policy::default();
        let read = (knob.set)(&mut scratch, text).map(|()| text.to_owned());
        read.map_err(|()| format!("allowed is {}", knob.allowed))
    };
    clap::Arg::new(knob.name)
        .long(knob.name)
        .env(variable(knob.name))
        .hide_env_values(true)
        .value_name("VALUE")
        .allow_negative_numbers(true)
        .value_parser(read)
        .help_heading("Knobs of the one function")
        .help(format!("{} Allowed: {} [default: {}]", knob.doc, knob.allowed, knob.default))
}

fn host(text: &str) -> Result<kaos_core::host::HostPattern, String> {
    let allowed = |_| "allowed is a host such as shop.example.com, *.example.com, or *".to_owned();
    kaos_core::host::HostPattern::parse(text).map_err(allowed)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_knob_is_a_flag_that_reads_its_default() {
        for knob in KNOBS.iter().filter(|knob| !knob.default.contains(' ')) {
            let flag = format!("--{}", knob.name);
            let cli = Cli::try_parse_from(["kaos", "up", &flag, knob.default, "--", "true"]).unwrap();
            let Command::Up(up) = cli.command else { panic!("not up") };
            assert_eq!(up.knobs.0, [(knob.name, knob.default.to_owned())]);
            assert_eq!(up.cmd, ["true"]);
        }
    }
}
