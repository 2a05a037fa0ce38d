//! Disks that are older than what was sent from them, and copies that run beside
//! the original: no node signs two histories, and each gets its seat back.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use dctrl_testnet::{Client, Options, Process, SLOT_SATS, until};

use crate::{
    image::Image,
    membership::has_roster,
    stage::{STEP_LIMIT, Stage},
};

/// Holds a node's data with its logs.
const IMAGE_BYTES: u64 = 512 << 20;
/// The node whose disk is copied.
const COPIED: usize = 3;
/// Without it the copied node is needed for every block.
const OTHER: usize = 2;
/// Place among the federation's ports that no node has.
const PLACE_OF_COPY: u16 = 8;
/// For so long a copy is watched, beside the sales in that time.
const WATCHED: Duration = Duration::from_secs(10);

/// Copies a folder with everything in it, as a backup of files does.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(copied.success(), "cannot copy {}", from.display());
    Ok(())
}

/// Sells while the copied node is needed, so that it signs.
async fn signs(stage: &mut Stage) -> Result<()> {
    stage.sells_without(OTHER).await?;
    let vend = stage.vend(SLOT_SATS).await?;
    stage.comes_back(OTHER, &vend).await
}

/// No node has seen two histories of another one.
async fn nobody_forked(stage: &Stage) -> Result<()> {
    for (node, status) in stage.statuses().await {
        for peer in &status.peers {
            ensure!(!peer.forked, "node {node} says that {} forked", peer.name);
        }
    }
    Ok(())
}

/// A federation one of whose nodes has its data in a file system of its own, of
/// which exact copies can be made; none where the machine mounts no such thing.
async fn start() -> Result<Option<(Stage, Image)>> {
    let mut stage = Stage::init(Options::default()).await?;
    let image = Image::make(
        stage.dir().join("original.img"),
        stage.node_dir(COPIED).join("data"),
        IMAGE_BYTES,
    )?;
    if !image.mounts()? {
        eprintln!("SKIPPED: this machine mounts no loop file systems");
        return Ok(None);
    }
    stage.prefix_node(COPIED, image.prefix());
    stage.start_with(&[]).await?;
    stage.vend(SLOT_SATS).await?;
    Ok(Some((stage, image)))
}

/// The disk as it is now, in a file beside it; the node goes on behind that.
async fn snapshot(stage: &mut Stage, image: &Image, folder: &Path) -> Result<Image> {
    stage.kill_node(COPIED);
    ensure!(image.run(&["sync"])?, "the disk cannot be mounted");
    let copy = image.copy(stage.dir().join("copy.img"), folder.to_path_buf())?;
    stage.start_node(COPIED)?;
    stage.nodes_ready().await?;
    signs(stage).await?;
    Ok(copy)
}

/// A folder for a second process with the node's key and settings, on ports of
/// its own, and the address of its API.
fn second_home(stage: &Stage) -> Result<(PathBuf, String)> {
    let (from, to) = (stage.node_dir(COPIED), stage.dir().join("second"));
    fs::create_dir_all(to.join("data"))?;
    for name in ["node.key", "node.key.instance"] {
        fs::copy(from.join(name), to.join(name))?;
    }
    let mut text = fs::read_to_string(from.join("node.toml"))?;
    let own = stage.node_ports(u16::try_from(COPIED)?);
    let free = stage.node_ports(PLACE_OF_COPY);
    for (own, free) in own.iter().zip(free) {
        text = text.replace(&format!("127.0.0.1:{own}"), &format!("127.0.0.1:{free}"));
    }
    fs::write(to.join("node.toml"), text)?;
    let [.., api] = free;
    Ok((to, format!("http://127.0.0.1:{api}")))
}

async fn height(client: &Client) -> Result<u64> {
    Ok(client.status().await?.final_height)
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_node_restored_from_a_backup_of_its_files_forks_nothing_and_gets_its_seat_back()
-> Result<()> {
    let mut stage = Stage::start(Options::default()).await?;
    stage.vend(SLOT_SATS).await?;
    let data = stage.node_dir(COPIED).join("data");
    let backup = stage.dir().join("backup");
    stage.kill_node(COPIED);
    copy_files(&data, &backup)?;
    stage.start_node(COPIED)?;
    stage.nodes_ready().await?;
    signs(&mut stage).await?;

    stage.kill_node(COPIED);
    fs::remove_dir_all(&data)?;
    copy_files(&backup, &data)?;
    stage.start_node(COPIED)?;
    has_roster(&stage, 1, 4).await?;
    let vend = stage.vend(SLOT_SATS).await?;
    stage.is_sound(Stage::height_of(&vend)).await?;
    signs(&mut stage).await?;
    nobody_forked(&stage).await?;
    stage.end().await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_disk_that_was_set_back_beneath_its_file_system_forks_nothing() -> Result<()> {
    let Some((mut stage, image)) = start().await? else {
        return Ok(());
    };
    let copy = snapshot(&mut stage, &image, &image.folder).await?;
    stage.kill_node(COPIED);
    stage.prefix_node(COPIED, copy.prefix());
    stage.start_node(COPIED)?;
    // It learns what it had signed, and asks for the seat as another disk.
    has_roster(&stage, 1, 4).await?;
    let vend = stage.vend(SLOT_SATS).await?;
    stage.is_sound(Stage::height_of(&vend)).await?;
    signs(&mut stage).await?;
    nobody_forked(&stage).await?;
    stage.end().await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn an_exact_copy_of_a_running_node_never_speaks_beside_it() -> Result<()> {
    let Some((mut stage, image)) = start().await? else {
        return Ok(());
    };
    let (home, api) = second_home(&stage)?;
    let copy = snapshot(&mut stage, &image, &home.join("data")).await?;

    let prefix = copy.prefix();
    let (first, rest) = prefix.split_first().context("never empty")?;
    let mut command = Command::new(first);
    command.args(rest).arg(stage.programs().node());
    command
        .args(["run", "--config"])
        .arg(home.join("node.toml"));
    let mut second = Process::start("the copy", &command, &stage.dir().join("second.log"))?;
    let client = Client::new(&api)?;
    until(STEP_LIMIT, "the copy to answer", async || {
        second.must_live()?;
        client.status().await.map(Some)
    })
    .await?;
    let before = height(&client).await?;
    let watched_until = Instant::now() + WATCHED;
    let last = stage.vend(SLOT_SATS).await?;
    tokio::time::sleep_until(watched_until.into()).await;
    // The original is needed, and signs while the copy runs.
    signs(&mut stage).await?;
    nobody_forked(&stage).await?;
    second.must_live()?;
    stage.is_sound(Stage::height_of(&last)).await?;

    // In the place of the original it gets the seat.
    second.ask_to_stop();
    ensure!(second.stopped(STEP_LIMIT).await.is_some(), "the copy hangs");
    stage.kill_node(COPIED);
    stage.prefix_node(COPIED, copy.at(&image.folder).prefix());
    stage.start_node(COPIED)?;
    has_roster(&stage, 1, 4).await?;
    signs(&mut stage).await?;
    nobody_forked(&stage).await?;
    let after = height(&stage.client_of(COPIED)).await?;
    ensure!(after > before, "the copy stays at {after}");
    stage.end().await
}
