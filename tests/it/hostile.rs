//! A server that means ill, over real TCP: what it may do, the engine and the program end soon, tell nothing in clear, take little, publish
//! nothing and say why. Servers that are merely odd are real ones, in `servers`.

mod before_tls;
mod certificates;
mod data;
mod guest;
mod house;
mod identity;
mod listing;
mod login;
mod run;
mod scene;
mod transfer;

use libtest_mimic::Trial;

use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    let scenes =
        [before_tls::scenes(), certificates::scenes(), login::scenes(), data::scenes(), transfer::scenes(), listing::scenes()];
    scenes.into_iter().flatten().map(|scene| trial(format!("hostile::{}", scene.name), || run::run(scene))).collect()
}
