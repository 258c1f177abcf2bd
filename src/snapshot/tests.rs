//! What the Engine has when something was taken away in the middle.

use std::collections::BTreeMap;

use super::helper::HelperPurpose;
use super::*;
use crate::config::{Config, MapEnvironment, SettingsArgs};
use crate::engine::testing::{Scratch, scratch};
use crate::engine::{RunAs, Workspace, labels};
use crate::identity::User;
use crate::provision::{ServerContext, mark_of};

fn snapshots(scratch: &Scratch) -> Snapshots {
    let instance = ("CASEMATE_INSTANCE".into(), scratch.name.clone().into());
    let environment = MapEnvironment {
        variables: BTreeMap::from([instance]),
        os_user: "tester".to_owned(),
    };
    let config = Config::load(SettingsArgs::default(), &environment).expect("a configuration");
    let user = User {
        issuer: "local".parse().expect("an issuer"),
        subject: "alice".parse().expect("a subject"),
    };
    let context = ServerContext::new(config, scratch.face.clone());
    Snapshots::new(Provisioner::new(&context, &user.into()))
}

async fn left(scratch: &Scratch) -> (Vec<String>, usize) {
    let ours = [(labels::INSTANCE, scratch.name.as_str())];
    let volumes = scratch.face.list_volumes(&ours).await;
    let containers = scratch.face.list_containers(&ours).await;
    let volumes = volumes.expect("a list").into_iter().map(|row| row.name);
    (volumes.collect(), containers.expect("a list").len())
}

#[tokio::test]
async fn a_volume_removed_before_its_helper_starts_is_not_made_again() {
    scratch(async |scratch: &Scratch| {
        let snapshots = snapshots(scratch);
        let provisioner = &snapshots.provisioner;
        let first = provisioner.spec.name.as_str().to_owned();
        for (purpose, volume) in [
            (HelperPurpose::Backup, first.clone()),
            (HelperPurpose::Backup, format!("{first}-g1-a")),
            (HelperPurpose::Restore, format!("{first}-g1-a")),
        ] {
            let workspace = Workspace::Volume(volume.clone());
            let helper = snapshots
                .start_helper(purpose, workspace, RunAs::DEFAULT)
                .await;
            assert!(helper.is_err(), "{purpose:?} {volume}");
            assert_eq!(left(scratch).await, (vec![], 0), "{purpose:?} {volume}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_restore_does_not_fill_what_is_the_workspace_and_leaves_it() {
    scratch(async |scratch: &Scratch| {
        let snapshots = snapshots(scratch);
        let provisioner = &snapshots.provisioner;
        let volume = format!("{}-g1-a", provisioner.spec.name.as_str());
        let labels = provisioner.spec.labels();
        let number = [(labels::GENERATION, "1".to_owned())];
        let make = scratch.face.ensure_volume(&volume, &labels, &number, None);
        make.await.expect("made");
        let workspace = || Workspace::Volume(volume.clone());
        let helper = snapshots.start_helper(HelperPurpose::Restore, workspace(), RunAs::DEFAULT);
        assert!(helper.await.is_err());
        assert_eq!(left(scratch).await, (vec![volume.clone()], 0));
        let backup = snapshots.start_helper(HelperPurpose::Backup, workspace(), RunAs::DEFAULT);
        backup.await.expect("it runs").close().await;
    })
    .await;
}

#[tokio::test]
async fn a_young_mark_stays_also_without_its_volume() {
    scratch(async |scratch: &Scratch| {
        let snapshots = snapshots(scratch);
        let name = mark_of(&format!(
            "{}-g1-a",
            snapshots.provisioner.spec.name.as_str()
        ));
        let labels = snapshots.provisioner.spec.labels();
        let mark = [(labels::PENDING, "v".to_owned())];
        let make = scratch.face.ensure_volume(&name, &labels, &mark, None);
        make.await.expect("made");
        snapshots.tidy().await.expect("tidied");
        assert_eq!(left(scratch).await.0, [name]);
    })
    .await;
}
