//! Reads a model's answer as it streams in: what is content, what is reasoning, what is a call of a tool.
//!
//! Text is said as soon as it is certain. Held back are what may still become a marker, white space that a marker may
//! follow, and a call until its closing tag.

const std = @import("std");
const wasmlx = @import("wasmlx");
const json = @import("json.zig");

const Answer = @This();

const think = "<think>";
const think_end = "</think>";
const call = "<tool_call>";
const call_end = "</tool_call>";

allocator: std.mem.Allocator,
/// `start`: before anything but white space.
state: enum { start, reasoning, content, call } = .start,
/// Whether the model was offered tools. Where it was not, nothing is a call.
tools: bool,
/// Text that is not understood yet.
pending: std.ArrayList(u8) = .empty,
/// White space that is said only if more of the same part follows it.
space: std.ArrayList(u8) = .empty,
/// Whether white space at the start of what follows is left out, since a marker stands before it.
after_marker: bool = false,
outputs: std.ArrayList(wasmlx.types_output_t) = .empty,

/// The reader of an answer to a prompt that ends so.
pub fn init(allocator: std.mem.Allocator, prompt_end: []const u8, tools: bool) Answer {
    var answer: Answer = .{ .allocator = allocator, .tools = tools };
    const end = std.mem.trimEnd(u8, prompt_end, &std.ascii.whitespace);
    if (std.mem.endsWith(u8, end, think)) answer.passMarker(.reasoning);
    return answer;
}

pub fn deinit(answer: *Answer) void {
    answer.pending.deinit(answer.allocator);
    answer.space.deinit(answer.allocator);
    for (answer.outputs.items) |*said| wasmlx.types_output_free(said);
    answer.outputs.deinit(answer.allocator);
}

/// The next piece of the text: what it makes certain, which is the caller's.
pub fn push(answer: *Answer, text: []const u8) ![]wasmlx.types_output_t {
    try answer.pending.appendSlice(answer.allocator, text);
    while (try answer.step()) {}
    return answer.outputs.toOwnedSlice(answer.allocator);
}

/// The text is at its end: what was held back, which is the caller's.
pub fn finish(answer: *Answer) ![]wasmlx.types_output_t {
    if (answer.state == .call) {
        // It never ended, so it was none.
        answer.state = .content;
        try answer.say(call);
    }
    try answer.say(answer.pending.items);
    answer.pending.clearRetainingCapacity();
    if (answer.state != .reasoning and !answer.after_marker and answer.space.items.len > 0) {
        try answer.output(wasmlx.TYPES_OUTPUT_CONTENT, &.{answer.space.items});
        answer.space.clearRetainingCapacity();
    }
    return answer.outputs.toOwnedSlice(answer.allocator);
}

/// Understands some of the pending text. Returns whether there may be more to understand.
fn step(answer: *Answer) !bool {
    const pending = answer.pending.items;
    switch (answer.state) {
        .start => {
            const text = std.mem.trimStart(u8, pending, &std.ascii.whitespace);
            if (std.mem.startsWith(u8, text, think)) {
                answer.drop(pending.len - text.len + think.len);
                answer.passMarker(.reasoning);
                return true;
            }
            if (std.mem.startsWith(u8, think, text)) return false;
            answer.state = .content;
            return true;
        },
        .reasoning => {
            if (!try answer.sayUntil(think_end)) return false;
            answer.passMarker(.content);
            return true;
        },
        .content => {
            if (!answer.tools) {
                try answer.say(pending);
                answer.pending.clearRetainingCapacity();
                return false;
            }
            if (!try answer.sayUntil(call)) return false;
            answer.state = .call;
            return true;
        },
        .call => {
            const at = std.mem.find(u8, pending, call_end) orelse return false;
            answer.state = .content;
            if (try answer.sayCall(pending[0..at])) {
                answer.passMarker(.content);
            } else {
                try answer.say(call);
                try answer.say(pending[0 .. at + call_end.len]);
            }
            answer.drop(at + call_end.len);
            return true;
        },
    }
}

/// Says a call, from the JSON object between its tags. Returns false, and says nothing, where it is none.
fn sayCall(answer: *Answer, written: []const u8) !bool {
    const parsed = json.read(answer.allocator, written) catch |failure| switch (failure) {
        error.OutOfMemory => return error.OutOfMemory,
        error.Syntax => return false,
    };
    defer parsed.deinit();
    if (parsed.value != .object) return false;
    const name = parsed.value.object.get("name") orelse return false;
    if (name != .string) return false;
    // Some models write the arguments as a string that holds JSON.
    const given = parsed.value.object.get("arguments");
    const arguments = switch (given orelse std.json.Value{ .string = "{}" }) {
        .string => |text| try answer.allocator.dupe(u8, text),
        else => |value| try json.dumps(answer.allocator, value),
    };
    defer answer.allocator.free(arguments);
    try answer.output(wasmlx.TYPES_OUTPUT_TOOL_CALL_START, &.{name.string});
    try answer.output(wasmlx.TYPES_OUTPUT_TOOL_CALL_ARGUMENTS, &.{arguments});
    try answer.output(wasmlx.TYPES_OUTPUT_TOOL_CALL_END, &.{});
    return true;
}

/// Says what stands before a marker and passes it, if it is there; else says what is certain.
fn sayUntil(answer: *Answer, marker: []const u8) !bool {
    const pending = answer.pending.items;
    if (std.mem.find(u8, pending, marker)) |at| {
        try answer.say(pending[0..at]);
        answer.drop(at + marker.len);
        return true;
    }
    var held = @min(marker.len - 1, pending.len);
    while (!std.mem.endsWith(u8, pending, marker[0..held])) held -= 1;
    try answer.say(pending[0 .. pending.len - held]);
    answer.drop(pending.len - held);
    return false;
}

/// Says a text, but for white space at its end; what was held back of such before comes first.
fn say(answer: *Answer, text: []const u8) !void {
    const kept = std.mem.trimEnd(u8, text, &std.ascii.whitespace);
    if (kept.len > 0) {
        const tag: u8 = if (answer.state == .reasoning) wasmlx.TYPES_OUTPUT_REASONING else wasmlx.TYPES_OUTPUT_CONTENT;
        if (answer.after_marker) {
            try answer.output(tag, &.{std.mem.trimStart(u8, kept, &std.ascii.whitespace)});
        } else {
            try answer.output(tag, &.{ answer.space.items, kept });
        }
        answer.space.clearRetainingCapacity();
        answer.after_marker = false;
    }
    try answer.space.appendSlice(answer.allocator, text[kept.len..]);
}

/// White space around a marker counts for nothing.
fn passMarker(answer: *Answer, state: @FieldType(Answer, "state")) void {
    answer.state = state;
    answer.space.clearRetainingCapacity();
    answer.after_marker = true;
}

fn drop(answer: *Answer, count: usize) void {
    answer.pending.replaceRangeAssumeCapacity(0, count, &.{});
}

fn output(answer: *Answer, tag: u8, parts: []const []const u8) !void {
    try answer.outputs.ensureUnusedCapacity(answer.allocator, 1);
    const text = try std.mem.concat(answer.allocator, u8, parts);
    // The text lies in the same place whatever the tag. A pointer that points nowhere is refused at the boundary, but
    // for null: the end of a call has no text.
    const value: wasmlx.wasmlx_string_t = .{ .ptr = if (text.len > 0) text.ptr else null, .len = text.len };
    answer.outputs.appendAssumeCapacity(.{ .tag = tag, .val = .{ .content = value } });
}
