//! The kernel functions that were on the stack at a transition.

use probe_ebpf::{STACK_DEPTH, StackFunction};

/// The functions that prove a cause, the innermost first. It has one at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KernelStack([u8; STACK_DEPTH]);

impl KernelStack {
    /// The stack with these functions, the innermost first; `None` for none. Those that find no room are left out.
    #[must_use]
    pub fn new(functions: &[StackFunction]) -> Option<Self> {
        let mut codes = [0; STACK_DEPTH];
        for (code, function) in codes.iter_mut().zip(functions) {
            *code = *function as u8;
        }
        Self::from_codes(codes)
    }

    /// The stack of a record.
    #[must_use]
    pub fn from_codes(codes: [u8; STACK_DEPTH]) -> Option<Self> {
        (codes[0] != 0).then_some(Self(codes))
    }

    /// As in a record.
    #[must_use]
    pub fn codes(self) -> [u8; STACK_DEPTH] {
        self.0
    }

    /// The functions, the innermost first.
    #[must_use]
    pub fn functions(self) -> Vec<StackFunction> {
        self.0.into_iter().map_while(StackFunction::from_code).collect()
    }

    /// Whether the function was on the stack.
    #[must_use]
    pub fn has(self, function: StackFunction) -> bool {
        self.0.contains(&(function as u8))
    }

    /// The innermost function: the one that set the state, or that called what did.
    #[must_use]
    pub fn innermost(self) -> Option<StackFunction> {
        StackFunction::from_code(self.0[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_has_its_functions_in_order() {
        let functions = [StackFunction::TcpDisconnect, StackFunction::TcpClose];
        let stack = KernelStack::new(&functions).expect("two functions");
        assert_eq!(stack.innermost(), Some(StackFunction::TcpDisconnect));
        assert!(stack.has(StackFunction::TcpClose) && !stack.has(StackFunction::TcpReset));
        assert_eq!(KernelStack::from_codes(stack.codes()), Some(stack));
        assert_eq!(KernelStack::new(&[]), None);
    }
}
