//! The order in which something was said, where it came in another.

use std::collections::BTreeMap;

use secure_chat_protocol::id::ChainId;

/// Puts the messages of each chain into the order of their numbers, in those places of a
/// page that the chain has: what others said stands between them as before. What has no
/// place in a chain stays where it is.
pub(super) fn as_said<T>(page: Vec<T>, place: impl Fn(&T) -> Option<(ChainId, u32)>) -> Vec<T> {
    let mut chains = BTreeMap::<ChainId, Vec<(u32, usize)>>::new();
    for (at, message) in page.iter().enumerate() {
        if let Some((chain, number)) = place(message) {
            chains.entry(chain).or_default().push((number, at));
        }
    }
    let mut places: Vec<usize> = (0..page.len()).collect();
    for came in chains.into_values() {
        let mut said = came.clone();
        said.sort_unstable();
        for ((_, from), (_, to)) in said.into_iter().zip(came) {
            if let Some(place) = places.get_mut(from) {
                *place = to;
            }
        }
    }
    let mut placed: Vec<(usize, T)> = places.into_iter().zip(page).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, message)| message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_page_each_chain_is_read_in_the_order_in_which_it_was_said() {
        let place = |(chain, number): &(u8, u32)| (*chain != 0).then_some((ChainId([*chain; 16]), *number));
        let page = vec![(1, 3), (2, 8), (1, 1), (0, 0), (1, 5), (2, 7), (1, 2), (1, 4)];
        let said = as_said(page, place);
        assert_eq!(said, [(1, 1), (2, 7), (1, 2), (0, 0), (1, 3), (2, 8), (1, 4), (1, 5)]);
        assert_eq!(as_said(said.clone(), place), said);
        assert!(as_said(Vec::new(), place).is_empty());
    }
}
