//! The WebAssembly boundary: templates, sampling policies and chats as sandboxed components.
