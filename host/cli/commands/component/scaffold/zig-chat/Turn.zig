//! One turn: the model's answer to the history's last messages.

const std = @import("std");
const wasmlx = @import("wasmlx");

const Turn = @This();

allocator: std.mem.Allocator,
generation: wasmlx.contexts_own_generation_t,
content: std.ArrayList(u8) = .empty,
reasoning: std.ArrayList(u8) = .empty,
/// Events that have happened and were not fetched yet.
events: std.ArrayList(wasmlx.exports_chat_event_t) = .empty,
over: bool = false,

pub fn deinit(turn: *Turn) void {
    wasmlx.contexts_generation_drop_own(turn.generation);
    turn.content.deinit(turn.allocator);
    turn.reasoning.deinit(turn.allocator);
    for (turn.events.items) |*event| wasmlx.exports_chat_event_free(event);
    turn.events.deinit(turn.allocator);
}

/// The next events, which are the caller's; false, with the reason in `err`, where the model failed.
pub fn nextBatch(
    turn: *Turn,
    max: u32,
    events: *wasmlx.exports_chat_list_event_t,
    err: *wasmlx.types_error_t,
) !bool {
    if (max == 0) {
        err.tag = wasmlx.TYPES_ERROR_INVALID_INPUT;
        wasmlx.wasmlx_string_dup(&err.val.invalid_input, "a batch has at least one event: none is the end");
        return false;
    }
    while (turn.events.items.len == 0 and !turn.over) {
        var batch: wasmlx.contexts_list_generation_event_t = undefined;
        const generation = wasmlx.contexts_borrow_generation(turn.generation);
        if (!wasmlx.contexts_method_generation_next_batch(generation, max, &batch, err)) return false;
        defer wasmlx.contexts_list_generation_event_free(&batch);
        if (batch.len == 0) {
            err.tag = wasmlx.TYPES_ERROR_MODEL_FAILED;
            wasmlx.wasmlx_string_dup(&err.val.model_failed, "the answer broke off without a reason");
            return false;
        }
        for (batch.ptr[0..batch.len]) |*event| if (!try turn.take(event, err)) return false;
    }
    const count = @min(max, turn.events.items.len);
    events.* = .{ .ptr = null, .len = count };
    if (count == 0) return true;
    events.ptr = (try turn.allocator.dupe(wasmlx.exports_chat_event_t, turn.events.items[0..count])).ptr;
    turn.events.replaceRangeAssumeCapacity(0, count, &.{});
    return true;
}

fn take(turn: *Turn, event: *const wasmlx.contexts_generation_event_t, err: *wasmlx.types_error_t) !bool {
    if (event.tag == wasmlx.CONTEXTS_GENERATION_EVENT_FINISHED) return turn.finish(event.val.finished, err);
    const output = event.val.output;
    switch (output.tag) {
        wasmlx.TYPES_OUTPUT_CONTENT => {
            const text = output.val.content.ptr[0..output.val.content.len];
            try turn.content.appendSlice(turn.allocator, text);
            try turn.say(wasmlx.EXPORTS_CHAT_EVENT_CONTENT, text);
        },
        wasmlx.TYPES_OUTPUT_REASONING => {
            const text = output.val.reasoning.ptr[0..output.val.reasoning.len];
            try turn.reasoning.appendSlice(turn.allocator, text);
            try turn.say(wasmlx.EXPORTS_CHAT_EVENT_REASONING, text);
        },
        // No tool was offered: what looks like a call of one is nothing to act on.
        else => {},
    }
    return true;
}

fn say(turn: *Turn, tag: u8, text: []const u8) !void {
    const copy = try turn.allocator.dupe(u8, text);
    // The text lies in the same place, content or reasoning.
    const value: wasmlx.wasmlx_string_t = .{ .ptr = copy.ptr, .len = copy.len };
    try turn.events.append(turn.allocator, .{ .tag = tag, .val = .{ .content = value } });
}

/// The answer is complete, or as complete as it gets: a cut one belongs in the history too, since it was shown.
fn finish(turn: *Turn, finished: wasmlx.contexts_finish_t, err: *wasmlx.types_error_t) !bool {
    const content = turn.content.items;
    const reasoning = turn.reasoning.items;
    var part: wasmlx.types_part_t = .{
        .tag = wasmlx.TYPES_PART_TEXT,
        .val = .{ .text = .{ .ptr = content.ptr, .len = content.len } },
    };
    var role = "assistant".*;
    var message: wasmlx.types_message_t = .{
        .role = .{ .ptr = &role, .len = role.len },
        .content = .{ .ptr = &part, .len = if (content.len > 0) 1 else 0 },
        .reasoning = .{ .is_some = reasoning.len > 0, .val = .{ .ptr = reasoning.ptr, .len = reasoning.len } },
    };
    if (!wasmlx.history_append(&message, err)) return false;
    try turn.events.append(turn.allocator, .{
        .tag = wasmlx.EXPORTS_CHAT_EVENT_USAGE,
        .val = .{ .usage = finished.usage },
    });
    try turn.events.append(turn.allocator, .{
        .tag = wasmlx.EXPORTS_CHAT_EVENT_DONE,
        .val = .{ .done = finished.reason },
    });
    turn.over = true;
    return true;
}
