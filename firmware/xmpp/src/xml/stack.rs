//! A stack whose first entries need no allocation: stanzas are shallow, and one allocation less is felt on a
//! Pi.

/// Holds `N` entries in place and the others in a `Vec`.
pub(crate) struct Stack<T, const N: usize> {
    few: [T; N],
    count: usize,
    more: Vec<T>,
}

impl<T: Default, const N: usize> Stack<T, N> {
    pub(crate) fn new() -> Self {
        Stack {
            few: std::array::from_fn(|_| T::default()),
            count: 0,
            more: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count + self.more.len()
    }

    pub(crate) fn push(&mut self, entry: T) {
        match self.few.get_mut(self.count) {
            Some(place) => {
                *place = entry;
                self.count += 1;
            }
            None => self.more.push(entry),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.more.pop().or_else(|| {
            self.count = self.count.checked_sub(1)?;
            Some(std::mem::take(&mut self.few[self.count]))
        })
    }

    pub(crate) fn last(&self) -> Option<&T> {
        self.more.last().or_else(|| self.few[..self.count].last())
    }

    /// Drops all entries but the first `len`; memory of many is given back with them.
    pub(crate) fn truncate(&mut self, len: usize) {
        if len <= N && !self.more.is_empty() {
            self.more = Vec::new();
        }
        self.more.truncate(len.saturating_sub(N));
        while self.count > len {
            self.count -= 1;
            self.few[self.count] = T::default();
        }
    }

    /// Entries in the order in which they were pushed.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + Clone {
        self.few[..self.count].iter().chain(&self.more)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.few[..self.count].iter_mut().chain(&mut self.more)
    }
}

impl<T: Default, const N: usize> Default for Stack<T, N> {
    fn default() -> Self {
        Stack::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_across_the_edge() {
        let mut stack = Stack::<u32, 2>::new();
        for n in 1..=4 {
            stack.push(n);
        }
        assert_eq!(stack.iter().copied().collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(
            stack.iter().rev().copied().collect::<Vec<_>>(),
            [4, 3, 2, 1]
        );
        assert_eq!(
            (stack.pop(), stack.last(), stack.len()),
            (Some(4), Some(&3), 3)
        );
        stack.truncate(1);
        assert_eq!((stack.last(), stack.len()), (Some(&1), 1));
        assert_eq!((stack.pop(), stack.pop(), stack.len()), (Some(1), None, 0));
    }
}
