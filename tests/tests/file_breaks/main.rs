//! A file whose transfer breaks twenty times, and changes its route twice, arrives whole.

mod scenario;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_megabytes_survive_twenty_deaths_and_two_changes_of_route() {
    let again = scenario::twenty_deaths_and_two_changes_of_route().await.again;
    assert!(again * 100 < 2 * scenario::FILE_BYTES as u64, "{again} bytes were sent again that were there");
}
