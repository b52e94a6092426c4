//! A prompt while it is written: segments, in which neighbours of one kind are joined and nothing is empty.

const std = @import("std");
const wasmlx = @import("wasmlx");

const Prompt = @This();

allocator: std.mem.Allocator,
segments: std.ArrayList(wasmlx.types_segment_t) = .empty,
/// The text of the last segment, whose kind is `kind`; nothing while it is empty.
text: std.ArrayList(u8) = .empty,
kind: u8 = wasmlx.TYPES_SEGMENT_TRUSTED,

pub fn deinit(prompt: *Prompt) void {
    for (prompt.segments.items) |*segment| wasmlx.types_segment_free(segment);
    prompt.segments.deinit(prompt.allocator);
    prompt.text.deinit(prompt.allocator);
}

/// A special token, by its name.
pub fn control(prompt: *Prompt, name: []const u8) !void {
    try prompt.complete();
    try prompt.add(wasmlx.TYPES_SEGMENT_CONTROL, name);
}

/// The template's own text.
pub fn trusted(prompt: *Prompt, text: []const u8) !void {
    try prompt.add(wasmlx.TYPES_SEGMENT_TRUSTED, text);
}

/// Text that a caller supplied: a marker written in it stays text.
pub fn untrusted(prompt: *Prompt, text: []const u8) !void {
    try prompt.add(wasmlx.TYPES_SEGMENT_UNTRUSTED, text);
}

/// The segments, which are the caller's.
pub fn finish(prompt: *Prompt) ![]wasmlx.types_segment_t {
    try prompt.complete();
    return prompt.segments.toOwnedSlice(prompt.allocator);
}

fn add(prompt: *Prompt, kind: u8, text: []const u8) !void {
    if (text.len == 0) return;
    if (kind != prompt.kind) try prompt.complete();
    prompt.kind = kind;
    try prompt.text.appendSlice(prompt.allocator, text);
}

fn complete(prompt: *Prompt) !void {
    if (prompt.text.items.len == 0) return;
    try prompt.segments.ensureUnusedCapacity(prompt.allocator, 1);
    const text = try prompt.text.toOwnedSlice(prompt.allocator);
    // The text lies in the same place whatever the kind.
    const value: wasmlx.wasmlx_string_t = .{ .ptr = text.ptr, .len = text.len };
    prompt.segments.appendAssumeCapacity(.{ .tag = prompt.kind, .val = .{ .trusted = value } });
}
