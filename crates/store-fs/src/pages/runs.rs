use core_model::Seq;

/// Stretches of neighbouring seqs, upwards or downwards.
pub(super) fn runs(seqs: &[Seq]) -> impl Iterator<Item = &[Seq]> {
    let mut left = seqs;
    std::iter::from_fn(move || {
        let step = match left {
            [] => return None,
            [a, b, ..] if a.0.checked_add(1) == Some(b.0) => 1,
            [a, b, ..] if b.0.checked_add(1) == Some(a.0) => -1,
            [_, ..] => 0,
        };
        let follows = |pair: &[Seq]| (pair[1].0 as i64).wrapping_sub(pair[0].0 as i64) == step;
        let count = match step {
            0 => 1,
            _ => 1 + left.windows(2).take_while(|pair| follows(pair)).count(),
        };
        let (run, rest) = left.split_at(count);
        left = rest;
        Some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_neighbours_in_one_direction() {
        let seqs = [3, 4, 5, 9, 8, 7, 1, 1, 2].map(Seq);
        let found: Vec<Vec<u64>> = runs(&seqs)
            .map(|run| run.iter().map(|seq| seq.0).collect())
            .collect();
        assert_eq!(found, [vec![3, 4, 5], vec![9, 8, 7], vec![1], vec![1, 2]]);
        assert_eq!(runs(&[]).count(), 0);
    }
}
