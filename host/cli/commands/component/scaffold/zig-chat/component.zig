//! The plain loop: a turn renders the history through the session's template, lets the model answer, and streams the answer
//! as events. It offers the model no tools.
//!
//! `wasmlx component build` makes the module `wasmlx`: the types and functions of the interfaces in WIT. Who owns what:
//! strings and lists that a function is given are its own to free; what it returns must come of the C allocator, and
//! the host frees it. What a call of the host fails with is handed on as it is.

const std = @import("std");
const wasmlx = @import("wasmlx");
const Config = @import("Config.zig");
const Turn = @import("Turn.zig");

/// Nobody would read the message of a panic: it traps.
pub const panic = std.debug.no_panic;

const allocator = std.heap.c_allocator;

/// What lasts from turn to turn.
const Session = struct {
    config: Config,
    /// One context serves all turns: of a prompt that begins as the last one did, the host reads only what is new.
    context: ?wasmlx.contexts_own_context_t = null,
};

/// Memory that runs out is a panic: the host ends the turn.
fn orPanic(result: anytype) @typeInfo(@TypeOf(result)).error_union.payload {
    return result catch @panic("out of memory");
}

export fn exports_chat_static_conversation_open(
    config: *wasmlx.wasmlx_string_t,
    conversation: *wasmlx.exports_chat_own_conversation_t,
    err: *wasmlx.types_error_t,
) bool {
    defer wasmlx.wasmlx_string_free(config);
    const parsed = Config.parse(allocator, config.ptr[0..config.len]) catch |failure| switch (failure) {
        error.OutOfMemory => @panic("out of memory"),
        else => return invalidInput(err, "the chat's configuration cannot be used: {t}", .{failure}),
    };
    const session = orPanic(allocator.create(Session));
    session.* = .{ .config = parsed };
    conversation.* = wasmlx.exports_chat_conversation_new(@ptrCast(session));
    return true;
}

export fn exports_chat_conversation_destructor(session: *Session) void {
    if (session.context) |context| wasmlx.contexts_context_drop_own(context);
    session.config.deinit();
    allocator.destroy(session);
}

export fn exports_chat_method_conversation_send(
    session: *Session,
    turn: *wasmlx.exports_chat_own_turn_t,
    err: *wasmlx.types_error_t,
) bool {
    var conversation: wasmlx.types_conversation_t = .{
        .add_generation_prompt = true,
        .options = .{ .ptr = session.config.options.ptr, .len = session.config.options.len },
    };
    wasmlx.history_messages(0, @ptrCast(&conversation.messages));
    defer wasmlx.types_list_message_free(&conversation.messages);
    var prompt: wasmlx.templates_list_segment_t = undefined;
    if (!wasmlx.templates_render(&conversation, &prompt, err)) return false;
    defer wasmlx.templates_list_segment_free(&prompt);

    if (session.context == null) {
        var context: wasmlx.contexts_own_context_t = undefined;
        if (!wasmlx.contexts_open(null, &context, err)) return false;
        session.context = context;
    }
    const context = wasmlx.contexts_borrow_context(session.context.?);
    var read: wasmlx.contexts_prompt_info_t = undefined;
    if (!wasmlx.contexts_method_context_prompt(context, @ptrCast(&prompt), &read, err)) return false;
    var generation: wasmlx.contexts_own_generation_t = undefined;
    if (!wasmlx.contexts_method_context_generate(context, &session.config.generate, &generation, err)) return false;

    const begun = orPanic(allocator.create(Turn));
    begun.* = .{ .allocator = allocator, .generation = generation };
    turn.* = wasmlx.exports_chat_turn_new(@ptrCast(begun));
    return true;
}

/// There is nothing to save: the host keeps the history.
export fn exports_chat_method_conversation_save(_: *Session, saved: *wasmlx.types_saved_t) void {
    saved.* = .{ .version = 1 };
}

export fn exports_chat_static_conversation_restore(
    config: *wasmlx.wasmlx_string_t,
    saved: *wasmlx.types_saved_t,
    conversation: *wasmlx.exports_chat_own_conversation_t,
    err: *wasmlx.types_error_t,
) bool {
    const version = saved.version;
    wasmlx.types_saved_free(saved);
    if (version == 1) return exports_chat_static_conversation_open(config, conversation, err);
    wasmlx.wasmlx_string_free(config);
    return invalidInput(err, "this chat reads saved states of version 1, not {d}", .{version});
}

export fn exports_chat_turn_destructor(turn: *Turn) void {
    turn.deinit();
    allocator.destroy(turn);
}

export fn exports_chat_method_turn_next(
    turn: *Turn,
    event: *wasmlx.exports_chat_option_event_t,
    err: *wasmlx.types_error_t,
) bool {
    var events: wasmlx.exports_chat_list_event_t = undefined;
    if (!orPanic(turn.nextBatch(1, &events, err))) return false;
    event.is_some = events.len > 0;
    if (events.len > 0) {
        event.val = events.ptr[0];
        allocator.free(events.ptr[0..events.len]);
    }
    return true;
}

export fn exports_chat_method_turn_next_batch(
    turn: *Turn,
    max: u32,
    events: *wasmlx.exports_chat_list_event_t,
    err: *wasmlx.types_error_t,
) bool {
    return orPanic(turn.nextBatch(max, events, err));
}

/// Makes a sentence an error; false, as functions that failed return.
fn invalidInput(err: *wasmlx.types_error_t, comptime message: []const u8, arguments: anytype) bool {
    const sentence = orPanic(std.fmt.allocPrint(allocator, message, arguments));
    err.tag = wasmlx.TYPES_ERROR_INVALID_INPUT;
    err.val = .{ .invalid_input = .{ .ptr = sentence.ptr, .len = sentence.len } };
    return false;
}
