use super::*;

fn shop() -> WorkloadId {
    WorkloadId::new("local", "shop")
}

fn kept(bytes: &[u8]) -> Arc<[u8]> {
    bytes.into()
}

#[tokio::test]
async fn what_was_put_is_there_for_the_next_and_nobody_else_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a/b");
    let mut shelf = StateFile::open(&folder).unwrap();
    assert_eq!(shelf.look().await, Ok(Vec::new()));
    let other = WorkloadId::new("local", "other");
    let entries = [(shop(), Some(kept(&[0, 255, 16]))), (other.clone(), Some(kept(&[1])))];
    shelf.put(&entries).await.unwrap();
    shelf.put(&[(other, None)]).await.unwrap();
    assert_eq!(shelf.look().await, Ok(Vec::new()), "nobody else writes here");
    assert_eq!(fs::read_to_string(folder.join("learned")).unwrap(), "kaos learned 1\nlocal/shop 00ff10\n");
    let refused = StateFile::open(&folder).unwrap_err();
    assert!(refused.contains("another Kaos uses it") && refused.contains("a/b"), "{refused}");
    drop(shelf);
    // The lock goes with the thread, which ends on its own.
    let mut next = loop {
        match StateFile::open(&folder) {
            Ok(next) => break next,
            Err(why) => assert!(why.contains("another Kaos"), "{why}"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(next.look().await, Ok(vec![(shop(), kept(&[0, 255, 16]))]));
}

#[tokio::test]
async fn what_cant_be_read_begins_anew_and_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("learned");
    for (text, left) in [
        (&b"kaos learned 2\nlocal/shop 00\n"[..], 0),
        (b"\xff\xfe", 0),
        (b"", 0),
        (b"kaos learned 1\nlocal/shop 0\nlocal/one 00\nnothing\nlocal/two zz\nlocal/three 00ff\n", 2),
    ] {
        let dir = tempfile::tempdir_in(dir.path()).unwrap();
        fs::write(dir.path().join("learned"), text).unwrap();
        let mut shelf = StateFile::open(dir.path()).unwrap();
        assert_eq!(shelf.look().await.unwrap().len(), left, "{text:?}");
        shelf.put(&[(shop(), Some(kept(&[1])))]).await.unwrap();
        let written = fs::read_to_string(dir.path().join("learned")).unwrap();
        assert!(written.starts_with("kaos learned 1\n") && written.contains("local/shop 01\n"), "{written}");
    }
    assert!(!file.exists());
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_said_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = StateFile::open(dir.path()).unwrap();
    shelf.look().await.unwrap();
    // A folder in the draft's place can't be written.
    let draft = dir.path().join("learned.draft");
    fs::create_dir(&draft).unwrap();
    let refused = shelf.put(&[(shop(), Some(kept(&[1])))]).await.unwrap_err().to_string();
    assert!(refused.contains("learned: "), "{refused}");
    fs::remove_dir(&draft).unwrap();
    shelf.put(&[]).await.unwrap();
    assert!(fs::read_to_string(dir.path().join("learned")).unwrap().contains("local/shop 01"));
}
