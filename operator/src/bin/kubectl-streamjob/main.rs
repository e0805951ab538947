//! `kubectl streamjob`: looks at jobs, and asks for what the operator then does.
//!
//! Owns: the process and its exit code.
//! Never: does anything to workers itself; it writes specs, and the operator acts.

#![forbid(unsafe_code)]

mod args;
mod ask;
mod show;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};

use args::{Args, Command};

fn main() -> ExitCode {
    // One provider of TLS in the process, before anything asks for it; it fails only if one is there.
    let _there_already = rustls::crypto::ring::default_provider().install_default();
    let args = Args::parse();
    if let Command::Completions { shell } = args.command {
        clap_complete::generate(shell, &mut Args::command(), "kubectl-streamjob", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kubectl-streamjob: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let options = kube::config::KubeConfigOptions { context: args.context.clone(), ..Default::default() };
        let config = if args.context.is_some() {
            kube::Config::from_kubeconfig(&options).await.context("the kubeconfig cannot be used")?
        } else {
            kube::Config::infer().await.context("there is no usable kubeconfig")?
        };
        let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = kube::Client::try_from(config)?;
        ask::command(&client, &namespace, &args.command).await
    })
}
