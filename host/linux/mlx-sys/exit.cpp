// Keeps the exit status of a process in which MLX's CUDA build cannot take itself down.
//
// MLX 0.32.2 holds CUDA graphs and streams in static objects that are older than CUDA's own exit handler. When the
// process exits, CUDA goes first, the objects' destructors then throw ("driver shutting down"), and the process would be
// aborted after it had done all its work.

#include <cstdio>
#include <cstdlib>
#include <exception>

#include <unistd.h>

namespace {

int exit_status = 0;

[[noreturn]] void leave() {
  std::fflush(nullptr);
  _exit(exit_status);
}

void exiting(int status, void*) {
  exit_status = status;
  std::set_terminate(leave);
}

} // namespace

// From here on, an exception that nothing catches *while the process exits* ends it with the status it had. To be called
// once MLX has used the GPU: exit handlers run last one first, and this one must run before CUDA's.
extern "C" void wasmlx_guard_exit() {
  on_exit(exiting, nullptr);
}
