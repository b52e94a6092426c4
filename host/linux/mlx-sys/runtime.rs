//! Opens MLX when the first of its functions is called, or when [`load`] asks for it.
//!
//! These shared libraries make up MLX here, and each is looked for in turn:
//!
//! | library | what it is | where, in this order |
//! |---|---|---|
//! | `libmlx.so` | MLX's own build, from its Python wheel for the CPU or for CUDA | `WASMLX_MLX_DIR`; `LD_LIBRARY_PATH`; `lib/` beside the program; where it was built against |
//! | `libscipy_openblas.so` | OpenBLAS, which takes the place of the wheel's slow BLAS | `lib/` beside the program; where it was built against |
//! | `libmlxblas.so`, `libmlxc.so` | OpenBLAS under the usual names; mlx-c: both of `build.rs` | the same |
//! | `libstdc++.so.6` | what MLX and mlx-c are written with | the system; the same |
//!
//! The loader gives a name to the first library that defines it among those opened for everyone to see. So OpenBLAS
//! is opened so before MLX, whose calls of `cblas_sgemm` then reach it.

use std::env;
use std::ffi::{CStr, CString, OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::bindings::Functions;

/// The version of MLX that mlx-c was compiled for; a C++ interface fits no other.
pub const MLX_VERSION: &str = "0.32.2";

/// Names a folder that holds MLX as pip unpacks it (`mlx/lib/libmlx.so`), before every other place.
pub const MLX_DIR_VARIABLE: &str = "WASMLX_MLX_DIR";

/// What was opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// MLX's library.
    pub mlx: PathBuf,
    /// OpenBLAS, or none where MLX works with its own BLAS, about ten times slower on the CPU.
    pub blas: Option<PathBuf>,
}

/// Why MLX could not be opened.
#[derive(Debug, Clone)]
pub struct LoadError {
    /// What kind of failure it is.
    pub kind: LoadErrorKind,
    message: String,
}

/// Kinds of [`LoadError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadErrorKind {
    /// One of the libraries is in none of the places.
    NotFound,
    /// The loader refused one: it is torn, of another machine, or lacks a library that it needs itself.
    Refused,
    /// It is MLX, but not the version that mlx-c was compiled for.
    WrongVersion,
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for LoadError {}

struct Runtime {
    loaded: Loaded,
    functions: Functions,
    /// `wasmlx_guard_exit` of `exit.cpp`.
    guard_exit: unsafe extern "C" fn(),
}

/// Opens MLX, once a process: later calls give the first one's answer.
///
/// A program calls it to learn of a failure as a value. One that does not, and calls a function of mlx-c where MLX
/// cannot be opened, is aborted with the same message.
pub fn load() -> Result<&'static Loaded, &'static LoadError> {
    runtime().as_ref().map(|runtime| &runtime.loaded)
}

/// Lets the process keep its exit status where MLX's CUDA build fails to take itself down at exit: see `exit.cpp`. To be
/// called once, when MLX has used the GPU.
pub fn guard_exit() {
    if let Ok(runtime) = runtime() {
        // SAFETY: the function registers an exit handler that uses nothing of the caller's.
        unsafe { (runtime.guard_exit)() }
    }
}

/// mlx-c's functions.
#[inline]
pub(crate) fn functions() -> &'static Functions {
    match runtime() {
        Ok(runtime) => &runtime.functions,
        Err(error) => abort(error),
    }
}

#[inline]
fn runtime() -> &'static Result<Runtime, LoadError> {
    static RUNTIME: OnceLock<Result<Runtime, LoadError>> = OnceLock::new();
    RUNTIME.get_or_init(open)
}

/// The functions have C's calling convention, through which no panic can pass.
#[cold]
fn abort(error: &LoadError) -> ! {
    eprintln!("{error}");
    std::process::abort()
}

fn open() -> Result<Runtime, LoadError> {
    let mlx_library = first_file(mlx_candidates()).ok_or_else(|| LoadError {
        kind: LoadErrorKind::NotFound,
        message: format!(
            "MLX {MLX_VERSION} (libmlx.so) is not on this machine: it is not beside the program under lib/, nor where \
             the program was built. In the source tree, `cargo xtask setup` fetches it. Elsewhere, unpack it with `pip \
             install --target DIR mlx-cpu=={MLX_VERSION}` (or mlx-cuda-13) and set {MLX_DIR_VARIABLE} to DIR"
        ),
    })?;
    open_cpp_runtime();
    let blas = open_blas();
    Library::open(&mlx_library, libc::RTLD_LAZY | libc::RTLD_LOCAL)?;
    let mlx_c_library = first_file(own_candidates("libmlxc.so")).ok_or_else(|| LoadError {
        kind: LoadErrorKind::NotFound,
        message: "libmlxc.so, which was built with this program, is neither under lib/ beside it nor where it was \
                  built: copy the program together with its lib/ folder, or build it again"
            .to_string(),
    })?;
    let mlx_c = Library::open(&mlx_c_library, libc::RTLD_LAZY | libc::RTLD_LOCAL)?;
    // SAFETY: build.rs compiled libmlxc.so from the sources of mlx-c 0.7.0, which `bindings.rs` describes.
    let functions = unsafe { Functions::look_up(|name| mlx_c.symbol(name)) }?;
    check_version(&functions, &mlx_library)?;
    // SAFETY: build.rs compiled the function into the library from `exit.cpp`, which gives it this type.
    let guard_exit =
        unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn()>(mlx_c.symbol(c"wasmlx_guard_exit")?) };
    Ok(Runtime { loaded: Loaded { mlx: mlx_library, blas }, functions, guard_exit })
}

/// Opens the C++ library that came with the program where the system has none; MLX then finds it by its name.
fn open_cpp_runtime() {
    const NAME: &str = "libstdc++.so.6";
    let system = Library::open(Path::new(NAME), libc::RTLD_LAZY);
    if let (Err(_), Some(own)) = (system, first_file(own_candidates(NAME))) {
        // Should this fail as well, opening MLX fails too, and says why.
        let _ = Library::open(&own, libc::RTLD_LAZY);
    }
}

/// Opens OpenBLAS for MLX to find. It is an aid: without it MLX works with its own BLAS.
fn open_blas() -> Option<PathBuf> {
    let openblas = first_file(own_candidates("libscipy_openblas.so"))?;
    let names = first_file(own_candidates("libmlxblas.so"))?;
    // OpenBLAS starts a thread a processor when it is opened, and they spin for a while; `blas.c` has its own.
    on_one_processor(|| Library::open(&openblas, libc::RTLD_LAZY | libc::RTLD_GLOBAL)).ok()?;
    let names = Library::open(&names, libc::RTLD_LAZY | libc::RTLD_GLOBAL).ok()?;
    // In a container there may be fewer processors than the affinity says: this counts its quota too.
    let processors = std::thread::available_parallelism().map_or(1, |count| i32::try_from(count.get()).unwrap_or(1));
    let set = names.symbol(c"wasmlx_blas_processors").ok()?;
    // SAFETY: `blas.c` defines it so, and its library stays open.
    unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn(i32)>(set)(processors) };
    Some(openblas)
}

/// Runs `action` on this thread while it may use the first of its processors only.
fn on_one_processor<T>(action: impl FnOnce() -> T) -> T {
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: a set of processors is plain bits, none of them set; the calls read and write the sets passed to them, and
    // concern this thread alone. Where one fails, `action` sees all processors.
    unsafe {
        let mut all: libc::cpu_set_t = std::mem::zeroed();
        let mut first: libc::cpu_set_t = std::mem::zeroed();
        let known = libc::sched_getaffinity(0, size, &mut all) == 0;
        if let Some(processor) = (0..libc::CPU_SETSIZE as usize).find(|&processor| libc::CPU_ISSET(processor, &all)) {
            libc::CPU_SET(processor, &mut first);
            libc::sched_setaffinity(0, size, &first);
        }
        let result = action();
        if known {
            libc::sched_setaffinity(0, size, &all);
        }
        result
    }
}

fn check_version(functions: &Functions, library: &Path) -> Result<(), LoadError> {
    // SAFETY: the table holds these functions of mlx-c; the string is freed once, after its text was copied.
    let version = unsafe {
        let mut string = (functions.mlx_string_new)();
        (functions.mlx_version)(&mut string);
        let text = (functions.mlx_string_data)(string);
        let version = if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() };
        (functions.mlx_string_free)(string);
        version
    };
    if version == MLX_VERSION {
        return Ok(());
    }
    Err(LoadError {
        kind: LoadErrorKind::WrongVersion,
        message: format!(
            "{} is MLX {version}, and this program works with {MLX_VERSION} only: install that version, or unset \
             {MLX_DIR_VARIABLE} and LD_LIBRARY_PATH to use the one that came with the program",
            library.display()
        ),
    })
}

/// Where MLX's library may lie. A folder that the user named counts even where it holds none, so that a mistyped name
/// is an error and not another MLX.
fn mlx_candidates() -> Vec<PathBuf> {
    if let Some(folder) = env::var_os(MLX_DIR_VARIABLE) {
        return ["mlx/lib", "lib", ""].iter().map(|inner| Path::new(&folder).join(inner).join("libmlx.so")).collect();
    }
    let named = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let folders = env::split_paths(&named).filter(|folder| !folder.as_os_str().is_empty());
    folders.map(|folder| folder.join("libmlx.so")).chain(own_candidates("mlx/lib/libmlx.so")).collect()
}

/// Where a library that came with the program may lie: beside it, or in the folders that build.rs named.
fn own_candidates(library: &str) -> Vec<PathBuf> {
    let beside = env::current_exe().ok().and_then(|program| Some(program.parent()?.join("lib")));
    let built = env::split_paths(OsStr::new(env!("MLX_SYS_BUILT"))).filter(|folder| !folder.as_os_str().is_empty());
    beside.into_iter().chain(built).map(|folder| folder.join(library)).collect()
}

fn first_file(candidates: Vec<PathBuf>) -> Option<PathBuf> {
    candidates.into_iter().find(|path| path.is_file())
}

/// A library that stays open for the life of the process.
struct Library(*mut c_void);

impl Library {
    fn open(path: &Path, flags: libc::c_int) -> Result<Self, LoadError> {
        let refused = |reason: String| LoadError {
            kind: LoadErrorKind::Refused,
            message: format!("the loader refused {}: {reason}", path.display()),
        };
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| refused(error.to_string()))?;
        // SAFETY: opening runs the library's constructors. These are MLX, OpenBLAS and this crate's own libraries, from
        // where the user or the build put them; none has a precondition.
        let handle = unsafe { libc::dlopen(name.as_ptr(), flags) };
        if handle.is_null() { Err(refused(loader_message())) } else { Ok(Self(handle)) }
    }

    fn symbol(&self, name: &CStr) -> Result<*mut c_void, LoadError> {
        // SAFETY: the handle is that of an open library, and the name ends in a zero byte.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        if !address.is_null() {
            return Ok(address);
        }
        Err(LoadError {
            kind: LoadErrorKind::Refused,
            message: format!(
                "libmlxc.so lacks {}: {}. Build the program again",
                name.to_string_lossy(),
                loader_message()
            ),
        })
    }
}

/// What the loader says of its last failure.
fn loader_message() -> String {
    // SAFETY: `dlerror` gives null or a string that holds until this thread's next call of the loader.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() { "no reason given".to_string() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    }
}
