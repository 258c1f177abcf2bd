//! The kill matrix: PID 1, the bridge or the Engine is killed at every stage of a sandbox
//! and in every mode. After each kill every call is answered in time and truthfully, nothing runs
//! twice, each file is the old or the new one, the same server goes on, and nothing is left.
//!
//! `ending` kills the server; `engine_trouble` has an Engine that is stopped, restarted and away.

mod cell;
mod truth;
mod world;

use std::sync::Arc;
use std::time::Duration;

use casemate::config::Mode;
use futures_util::future::join_all;

use cell::{Cell, MODES, Reached, STAGES, Victim};
use truth::Seen;
use world::World;

/// Deadline for something that happens without a call, next to dozens of other sandboxes.
const SOON: Duration = Duration::from_secs(60);

/// The cells, which are checked after all their calls were answered.
async fn prove(world: &World, cell: Cell, reached: Reached) {
    let server = reached.server;
    let mut answers = Vec::new();
    for call in reached.calls {
        answers.push(call.answer(&cell).await);
    }
    let seen = Seen::by(&server, &cell).await;
    for (call, result) in &answers {
        seen.agrees_with(&cell, call, result);
    }
    seen.is_whole(&cell);
    world.old_temporaries_are_swept(&server, &cell).await;
    world.one_is_left(&cell).await;
    assert!(server.end().await.success(), "{cell}");
    if cell.mode == Mode::Ephemeral {
        world.none_is_left(&cell).await;
    }
}

/// All cells of one victim, on the machine's Engine.
async fn each_is_survived(victim: Victim) {
    let world = Arc::new(World::here());
    let cells = MODES.into_iter().flat_map(|mode| {
        STAGES.map(|stage| Cell {
            victim,
            stage,
            mode,
        })
    });
    let cells = cells.map(|cell| {
        let world = world.clone();
        tokio::spawn(async move {
            let _turn = world.turn().await;
            let mut reached = cell.prepare(&world).await;
            cell.begin(&mut reached).await;
            cell.strike(&world, &reached).await;
            prove(&world, cell, reached).await;
        })
    });
    for cell in join_all(cells).await {
        cell.expect("the cell holds");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pid_1_may_die_at_every_stage_in_every_mode() {
    each_is_survived(Victim::Pid1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_bridge_may_die_at_every_stage_in_every_mode() {
    each_is_survived(Victim::Bridge).await;
}

/// One kill of a separate Engine, for all stages.
async fn an_engines_end_is_survived(mode: Mode) {
    let world = World::apart().await;
    let cells = STAGES.map(|stage| Cell {
        victim: Victim::Engine,
        stage,
        mode,
    });
    let mut reached = join_all(cells.iter().map(|cell| cell.prepare(&world))).await;
    join_all(
        cells
            .iter()
            .zip(&mut reached)
            .map(|(cell, reached)| cell.begin(reached)),
    )
    .await;
    world.kill_engine().await;
    let cells = cells.into_iter().zip(reached);
    join_all(cells.map(|(cell, reached)| prove(&world, cell, reached))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_engine_may_die_at_every_stage_in_every_mode() {
    let modes = MODES.map(|mode| tokio::spawn(an_engines_end_is_survived(mode)));
    for mode in join_all(modes).await {
        mode.expect("the cells hold");
    }
}
