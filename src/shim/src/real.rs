//! The functions behind our hooks, and the macro that declares hooks.
//!
//! Each hook is declared once, in one of the families under `hooks`, with redhook. All real
//! functions are looked up when the library is loaded, because a lookup at the first call might
//! come in a signal handler or between fork and exec. A call that comes even earlier (from another
//! library's constructor or a sanitizer) looks up its own function.

use crate::symbols::{hash, next, Behind};
use std::ffi::{c_int, c_long, c_uint, c_void, CStr};
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::Relaxed;

/// What is known of a hook. No table in memory holds that: the dynamic linker would have to write
/// each pointer of it at the start of every program. [`hooks::each`](crate::hooks::each) tells it.
pub struct Hook {
    /// The C name under which the hook is exported.
    pub name: &'static CStr,
    hash: u32,
    real: Option<Real>,
}

/// Where the C library's function of a hook is noted.
struct Real {
    slot: &'static AtomicPtr<c_void>,
    /// The function that stands in for one that the C library does not have.
    missing: *const (),
}

/// Called with each hook.
pub type Visit<'v> = &'v mut dyn FnMut(&Hook);

/// Tells of a hook with the place of its real function.
#[inline(never)]
pub fn tell(
    visit: Visit<'_>,
    name: &'static CStr,
    hash: u32,
    slot: &'static AtomicPtr<c_void>,
    missing: *const (),
) {
    let real = Some(Real { slot, missing });
    visit(&Hook { name, hash, real });
}

/// Tells of a hook that never calls a real function.
pub fn tell_own(visit: Visit<'_>, name: &'static CStr) {
    let hash = hash(name);
    visit(&Hook {
        name,
        hash,
        real: None,
    });
}

impl Hook {
    /// Looks up the real function.
    pub fn resolve(&self, behind: &Behind) {
        if let Some(real) = &self.real {
            let found = match behind.find(self.name, self.hash) {
                missing if missing.is_null() => real.missing.cast_mut().cast(),
                found => found,
            };
            real.slot.store(found, Relaxed);
        }
    }

    /// Is the function that was found the one that dlsym(3) finds?
    pub fn is_next(&self) -> bool {
        self.real.as_ref().is_none_or(|real| {
            let next = match next(self.name) {
                missing if missing.is_null() => real.missing.cast_mut().cast(),
                found => found,
            };
            real.slot.load(Relaxed) == next
        })
    }
}

/// The value that a function returns when the C library does not have it; errno is then ENOSYS.
pub trait Failure {
    /// The value that says that the call failed.
    const FAILED: Self;
}

macro_rules! failure {
    ($($t:ty = $v:expr),*) => { $(impl Failure for $t { const FAILED: $t = $v; })* };
}
failure!(
    usize = 0,
    c_int = -1,
    c_long = -1,
    isize = -1,
    c_uint = 0,
    () = ()
);

impl<T> Failure for *mut T {
    const FAILED: *mut T = std::ptr::null_mut();
}

/// Declares the hooks of one family: `fn NAME(ARGUMENTS) -> TYPE => RUST_NAME { BODY }`. In the
/// body, `real!(NAME(...))` calls the C library's function. The macro also makes the family's
/// `each`.
macro_rules! hooks {
    ($(fn $name:ident ( $($v:ident : $t:ty),* ) -> $r:ty => $hook:ident $body:block)*) => {
        $(
            redhook::hook! { unsafe fn $name ( $($v : $t),* ) -> $r => $hook $body }

            impl $name {
                /// The C library's function.
                #[inline(always)]
                #[allow(dead_code)]
                fn real(&self) -> unsafe extern "C" fn($($t),*) -> $r {
                    // SAFETY: the slot only ever holds functions of exactly this type.
                    unsafe { std::mem::transmute(Self::slot().load(std::sync::atomic::Ordering::Relaxed)) }
                }

                #[inline(always)]
                const fn slot() -> &'static std::sync::atomic::AtomicPtr<std::ffi::c_void> {
                    static SLOT: std::sync::atomic::AtomicPtr<std::ffi::c_void> =
                        std::sync::atomic::AtomicPtr::new($name::early as *mut std::ffi::c_void);
                    &SLOT
                }

                const NAME: &std::ffi::CStr = match std::ffi::CStr::from_bytes_with_nul(
                    concat!(stringify!($name), "\0").as_bytes()) { Ok(name) => name, Err(_) => c"" };

                unsafe extern "C" fn early($($v : $t),*) -> $r {
                    let found = match $crate::symbols::next(Self::NAME) {
                        missing if missing.is_null() => $name::missing as *mut std::ffi::c_void,
                        found => found,
                    };
                    Self::slot().store(found, std::sync::atomic::Ordering::Relaxed);
                    // SAFETY: these are the caller's arguments, unchanged, for the function that it
                    // meant.
                    unsafe { ($name.real())($($v),*) }
                }

                unsafe extern "C" fn missing($(_: $t),*) -> $r {
                    $crate::errno::set(libc::ENOSYS);
                    <$r as $crate::real::Failure>::FAILED
                }
            }
        )*

        /// Tells of the hooks of this family.
        pub fn each(visit: $crate::real::Visit<'_>) {
            $({
                const HASH: u32 = $crate::symbols::hash($name::NAME);
                let missing = $name::missing as *const ();
                $crate::real::tell(visit, $name::NAME, HASH, $name::slot(), missing);
            })*
        }
    };
}

/// Calls the C library's function with the caller's arguments.
macro_rules! real {
    ($name:ident ( $($arg:expr),* )) => {
        // SAFETY: the arguments are the caller's own, or others in their place for which the same
        // contract holds.
        unsafe { ($name.real())($($arg),*) }
    };
}

pub(crate) use hooks;
pub(crate) use real;
