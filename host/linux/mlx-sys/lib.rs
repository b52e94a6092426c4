//! mlx-sys for every platform that wasmlx runs on: the functions of mlx-c 0.7.0, which mlx-rs 0.33 calls.
//!
//! The published crate builds on Apple's platforms only. There, this one does what it does: MLX and mlx-c are built
//! by CMake and linked in. Elsewhere mlx-c is compiled into a shared library of its own and opened, together with
//! MLX's own build (a Python wheel) and a fast BLAS, when the first function is called: see [`runtime`]. So a program
//! needs no link flags and no loader path, starts where MLX is absent, and takes MLX's CUDA build in place of the CPU's
//! without being built again.

#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals, clippy::missing_safety_doc)]

#[cfg(not(target_vendor = "apple"))]
pub mod runtime;

/// Declares mlx-c's functions, as symbols that the linker finds.
#[cfg(target_vendor = "apple")]
macro_rules! functions {
    ($($functions:tt)*) => {
        unsafe extern "C" { $($functions)* }
    };
}

/// Defines mlx-c's functions as calls through a table that [`runtime`] fills from the opened library.
#[cfg(not(target_vendor = "apple"))]
macro_rules! functions {
    ($($(#[$attribute:meta])* pub fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        /// The address of every function of mlx-c.
        pub(crate) struct Functions {
            $(pub(crate) $name: unsafe extern "C" fn($($type),*) $(-> $result)?,)*
        }

        impl Functions {
            /// Looks every function up.
            ///
            /// # Safety
            /// `symbol` must answer each name with the address of mlx-c 0.7.0's function of that name.
            pub(crate) unsafe fn look_up<E>(
                symbol: impl Fn(&'static std::ffi::CStr) -> Result<*mut std::ffi::c_void, E>,
            ) -> Result<Self, E> {
                Ok(Self {
                    $($name: {
                        const NAME: &std::ffi::CStr =
                            match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                                Ok(name) => name,
                                Err(_) => panic!("a function's name holds a zero byte"),
                            };
                        // SAFETY: by this function's contract the address is that of a function of this type.
                        unsafe {
                            std::mem::transmute::<*mut std::ffi::c_void, unsafe extern "C" fn($($type),*) $(-> $result)?>(
                                symbol(NAME)?,
                            )
                        }
                    },)*
                })
            }
        }

        $($(#[$attribute])*
        #[inline]
        pub unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
            // SAFETY: the caller keeps mlx-c's contract, and the table holds this function's address.
            unsafe { (crate::runtime::functions().$name)($($argument),*) }
        })*
    };
}

mod bindings;
pub use bindings::*;
