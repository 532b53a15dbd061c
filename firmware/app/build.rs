//! What `hearth version` tells: the commit, the target, and the TLS library of the lock file; from when the
//! sources are; and how the binary is linked.

use std::{env, fs, path::Path, process::Command};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    println!(
        "cargo::rustc-env=HEARTH_TARGET={}",
        env::var("TARGET").unwrap_or_default()
    );
    println!("cargo::rustc-env=HEARTH_COMMIT={}", commit(&root));
    println!("cargo::rustc-env=HEARTH_BUILT={}", built(&root));
    let lock = root.join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let lock = fs::read_to_string(lock).unwrap_or_default();
    println!("cargo::rustc-env=HEARTH_RUSTLS={}", locked(&lock, "rustls"));
    println!(
        "cargo::rustc-env=HEARTH_AWS_LC_RS={}",
        locked(&lock, "aws-lc-rs")
    );
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        // The 18 000 addresses that the loader adjusts at each start, as a bitmap (glibc 2.36 and later)
        // instead of 24 bytes for each, all of which would be read and so be resident.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The commit of the checkout; `unknown` where the sources come without one and the builder did not say.
fn commit(root: &Path) -> String {
    println!("cargo::rerun-if-env-changed=HEARTH_COMMIT");
    if let Ok(commit) = env::var("HEARTH_COMMIT") {
        return commit;
    }
    // The reflog grows with every commit and every checkout.
    let log = root.join(".git/logs/HEAD");
    if log.exists() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    let output = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .current_dir(root)
        .output();
    let commit = output.ok().filter(|output| output.status.success());
    let commit = commit.and_then(|output| String::from_utf8(output.stdout).ok());
    commit.map_or_else(|| "unknown".to_owned(), |commit| commit.trim().to_owned())
}

/// Seconds since 1970 of the commit: the same for everybody who builds it. Without one, what the builder
/// says, or the beginning of the year in which this was written.
fn built(root: &Path) -> u64 {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let output = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(root)
        .output();
    let commit = output.ok().filter(|output| output.status.success());
    let commit = commit.and_then(|output| String::from_utf8(output.stdout).ok());
    let said = env::var("SOURCE_DATE_EPOCH").ok().or(commit);
    said.and_then(|seconds| seconds.trim().parse().ok())
        .unwrap_or(1_767_225_600)
}

/// The version of a package in the lock file.
fn locked(lock: &str, name: &str) -> String {
    let start = format!("name = \"{name}\"\nversion = \"");
    let version = lock
        .split_once(&start)
        .and_then(|(_, rest)| rest.split_once('"'));
    version.map_or_else(String::new, |(version, _)| version.to_owned())
}
