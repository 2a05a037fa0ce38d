//! A node on a small file system that fills up: a real one, with what the
//! kernel really says.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use dctrl_testnet::{MACHINE, Options, SLOT_SATS, until};

use crate::{
    image::Image,
    stage::{STEP_LIMIT, Stage},
};

/// What a failed disk ends a node with.
const DISK_FAILED: i32 = 74;

/// Bytes of the file system: room for a reserve of 128 MiB and the ballast.
const IMAGE_BYTES: u64 = 512 << 20;

/// What is left in the first step: less than the reserve, and enough to follow.
const LITTLE_BYTES: u64 = 100 << 20;

/// Written at once.
const PIECE_BYTES: usize = 1 << 20;

const SMALL: usize = 1;

/// Writes a file until `enough`, or until the disk takes no more; whether that
/// came first.
fn fill(filler: &Path, enough: impl Fn() -> Result<bool>) -> Result<bool> {
    let mut file = File::options().create(true).append(true).open(filler)?;
    let mut piece = vec![0x5a; PIECE_BYTES];
    while !enough()? {
        match file.write_all(&piece).and_then(|()| file.sync_data()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull && piece.len() > 1 => {
                piece.truncate(piece.len() / 2);
            }
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(true),
            Err(error) => bail!("{}: {error}", filler.display()),
        }
    }
    Ok(false)
}

fn free(folder: &Path) -> Result<u64> {
    let found = nix::sys::statvfs::statvfs(folder)?;
    Ok(found.blocks_available() * found.fragment_size())
}

/// What the command line is told where it asks one node for a quote.
async fn quote_at(stage: &Stage, node: usize) -> Result<String> {
    let [.., api] = stage.node_ports(u16::try_from(node)?);
    let url = format!("http://127.0.0.1:{api}");
    let quote = ["vend", "quote", "--machine", MACHINE, "--slot", SLOT_SATS];
    let words = [&["--node", &url], &quote[..]].concat();
    let said = stage.cli().run(&words).await?;
    Ok(format!("{said:?}"))
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_small_disk_refuses_work_before_it_is_full_and_takes_it_again_with_room() -> Result<()> {
    let mut stage = Stage::init(Options::default()).await?;
    let image = Image::make(
        stage.dir().join("small.img"),
        stage.node_dir(SMALL).join("data"),
        IMAGE_BYTES,
    )?;
    if !image.mounts()? {
        eprintln!("SKIPPED: this machine mounts no loop file systems");
        return Ok(());
    }
    stage.prefix_node(SMALL, image.prefix());
    stage.start_with(&[]).await?;
    stage.vend(SLOT_SATS).await?;

    // Its own mounts, seen through it.
    let id = stage.node(SMALL).context("it was started")?.id();
    let root = PathBuf::from(format!("/proc/{id}/root"));
    let within = root.join(image.folder.strip_prefix("/")?);
    let filler = within.join("filler");
    fill(&filler, || Ok(free(&within)? < LITTLE_BYTES))?;
    until(STEP_LIMIT, "new work to be refused", async || {
        let said = quote_at(&stage, SMALL).await?;
        Ok(said.contains("node.disk_full").then_some(()))
    })
    .await?;
    // It still follows, and the others sell.
    let vend = stage.vend(SLOT_SATS).await?;
    stage.is_sound(Stage::height_of(&vend)).await?;

    // Whoever writes on finds nothing left, in spite of the ballast.
    fill(&filler, || Ok(false))?;
    until(STEP_LIMIT, "the ballast to be thrown off", async || {
        let thrown = !within.join("ballast").exists();
        Ok(thrown.then_some(()))
    })
    .await?;
    ensure!(fill(&filler, || Ok(false))?, "the disk is not full");
    let vend = stage.vend(SLOT_SATS).await?;

    // It may go on in the room that its files have taken before, or end; what
    // it took over is whole in either case.
    let node = stage.node(SMALL).context("it was started")?;
    match node.ended()? {
        None => fs::remove_file(&filler)?,
        Some(ended) => {
            ensure!(ended.code() == Some(DISK_FAILED), "{ended}");
            let gone = image.folder.join("filler");
            let gone = gone.to_str().context("no text")?;
            ensure!(image.run(&["rm", gone])?, "the filler stays");
        }
    }
    stage.kill_node(SMALL);
    stage.comes_back(SMALL, &vend).await?;
    until(STEP_LIMIT, "work to be taken again", async || {
        let said = quote_at(&stage, SMALL).await?;
        Ok((!said.contains("node.disk_full")).then_some(()))
    })
    .await?;
    stage.sells_without(2).await?;
    stage.end().await
}
