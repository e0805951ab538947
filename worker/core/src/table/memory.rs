//! Zeroed memory for indexes and rows.
//!
//! Owns: where memory comes from and that it goes back; huge pages for large pieces.
//! Never: knows what is in it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Pieces of at least this size come straight from the kernel, in huge pages where it has some.
const MAPPED_BYTES_MIN: usize = 1 << 20;

/// A piece of memory, zeroed when new, aligned to 8 bytes at least, that never moves.
#[derive(Debug)]
pub(super) struct Memory {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the piece is owned by this value alone, and plain bytes may be used from any thread.
unsafe impl Send for Memory {}
// SAFETY: a shared `Memory` gives away a pointer only; who uses it answers for that.
unsafe impl Sync for Memory {}

impl Memory {
    pub(super) fn zeroed(bytes: usize) -> Self {
        assert!(bytes > 0 && bytes.is_multiple_of(8), "{bytes} bytes of memory are not whole words");
        let start = if is_mapped(bytes) { mapped::map(bytes) } else { None };
        let start = start.unwrap_or_else(|| {
            let layout = layout(bytes);
            assert!(!is_mapped(bytes), "the kernel gives no {bytes} bytes of memory: raise the memory limit");
            // SAFETY: the layout is not empty.
            NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
        });
        Self { start, bytes }
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Memory that will be used soon and that the kernel has not handed over yet. That takes long where a hypervisor has to
/// find it first, so another thread may ask for it ahead of time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ahead {
    start: usize,
    bytes: usize,
}

impl Ahead {
    /// Has the kernel hand it over. No byte changes, and memory that is not there any more is left alone.
    pub fn populate(&self) {
        if mapped::AVAILABLE {
            mapped::populate(self.start, self.bytes);
        }
    }
}

impl Memory {
    /// A part of it; `None` if it is too small to matter.
    pub(super) fn ahead(&self, from: usize, to: usize) -> Option<Ahead> {
        let to = to.min(self.bytes);
        let wanted = is_mapped(self.bytes) && from < to;
        wanted.then(|| Ahead { start: self.start.as_ptr() as usize + from, bytes: to - from })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if is_mapped(self.bytes) {
            mapped::unmap(self.start, self.bytes);
        } else {
            // SAFETY: it was allocated with this layout, and whoever had a pointer borrowed from `self`.
            unsafe { dealloc(self.start.as_ptr(), layout(self.bytes)) }
        }
    }
}

fn is_mapped(bytes: usize) -> bool {
    mapped::AVAILABLE && bytes >= MAPPED_BYTES_MIN
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 8).expect("a piece of memory is smaller than the address space")
}

#[cfg(all(target_os = "linux", not(miri)))]
mod mapped {
    use std::ptr::{NonNull, null_mut};

    pub(super) const AVAILABLE: bool = true;

    /// New kernels align a mapping of this size so that huge pages fit. Alignment by hand would need more calls.
    pub(super) fn map(bytes: usize) -> Option<NonNull<u8>> {
        // SAFETY: a new private mapping touches nothing that exists.
        let start = unsafe {
            libc::mmap(
                null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: the range is the mapping just made. Advice may be refused: then pages are small.
        unsafe { libc::madvise(start, bytes, libc::MADV_HUGEPAGE) };
        NonNull::new(start.cast())
    }

    /// A huge page at a time: whoever maps or unmaps memory waits for one of them at most.
    pub(super) fn populate(start: usize, bytes: usize) {
        const HUGE_PAGE: usize = 2 << 20;
        const PAGE: usize = 4096;
        let end = start + bytes;
        let mut at = start & !(PAGE - 1);
        while at < end {
            let next = ((at & !(HUGE_PAGE - 1)) + HUGE_PAGE).min(end);
            // SAFETY: to have pages handed over changes no content, whatever is mapped there by now; where nothing is, or
            // it may not be written, or an old kernel does not know the request, the call fails and changes nothing.
            unsafe { libc::madvise(at as *mut libc::c_void, next - at, libc::MADV_POPULATE_WRITE) };
            at = next;
        }
    }

    pub(super) fn unmap(start: NonNull<u8>, bytes: usize) {
        // SAFETY: the range is a mapping of ours that nobody uses any more.
        let failed = unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
        assert_eq!(failed, 0, "a mapping that we made can be unmapped");
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod mapped {
    use std::ptr::NonNull;

    pub(super) const AVAILABLE: bool = false;

    pub(super) fn map(_bytes: usize) -> Option<NonNull<u8>> {
        None
    }

    pub(super) fn populate(_start: usize, _bytes: usize) {}

    pub(super) fn unmap(_start: NonNull<u8>, _bytes: usize) {
        unreachable!("nothing is mapped here")
    }
}
