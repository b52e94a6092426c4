//! An agent that asks the model a question, its arguments, and prints the answer as it comes.
//!
//! `wasmlx component build` makes the module `wasmlx`: the types and functions of the interfaces in WIT. Who owns what:
//! strings and lists that a function is given are its own to free; what it returns must come of the C allocator, and
//! the host frees it. What a call of the host fails with is handed on as it is: the user is shown it as the reason why
//! the agent failed.

const std = @import("std");
const wasmlx = @import("wasmlx");

/// Nobody would read the message of a panic: it traps.
pub const panic = std.debug.no_panic;

const allocator = std.heap.c_allocator;

/// The most tokens of an answer.
const max_tokens = 512;

export fn exports_wasmlx_run(args: *wasmlx.wasmlx_list_string_t, err: *wasmlx.types_error_t) bool {
    defer wasmlx.wasmlx_list_string_free(args);
    if (args.len == 0) {
        err.tag = wasmlx.TYPES_ERROR_INVALID_INPUT;
        wasmlx.wasmlx_string_dup(&err.val.invalid_input, "usage: QUESTION");
        return false;
    }
    const question = joined(args.ptr[0..args.len]) catch @panic("out of memory");
    defer allocator.free(question);

    var opened: wasmlx.contexts_own_context_t = undefined;
    if (!wasmlx.contexts_open(null, &opened, err)) return false;
    defer wasmlx.contexts_context_drop_own(opened);
    const context = wasmlx.contexts_borrow_context(opened);
    if (!ask(context, question, err)) return false;

    var options = std.mem.zeroes(wasmlx.contexts_generate_options_t);
    options.max_tokens = .{ .is_some = true, .val = max_tokens };
    var generation: wasmlx.contexts_own_generation_t = undefined;
    if (!wasmlx.contexts_method_context_generate(context, &options, &generation, err)) return false;
    // Before the context, which it must not outlive.
    defer wasmlx.contexts_generation_drop_own(generation);
    return answer(wasmlx.contexts_borrow_generation(generation), err);
}

/// The arguments with spaces between them.
fn joined(args: []const wasmlx.wasmlx_string_t) ![]u8 {
    var text: std.ArrayList(u8) = .empty;
    for (args, 0..) |arg, at| {
        if (at > 0) try text.append(allocator, ' ');
        if (arg.len > 0) try text.appendSlice(allocator, arg.ptr[0..arg.len]);
    }
    return text.toOwnedSlice(allocator);
}

/// Makes a context's prompt of a conversation that is one question, as the session's template writes it.
fn ask(context: wasmlx.contexts_borrow_context_t, question: []u8, err: *wasmlx.types_error_t) bool {
    var part: wasmlx.types_part_t = .{
        .tag = wasmlx.TYPES_PART_TEXT,
        .val = .{ .text = .{ .ptr = question.ptr, .len = question.len } },
    };
    var message = std.mem.zeroes(wasmlx.types_message_t);
    wasmlx.wasmlx_string_set(&message.role, "user");
    message.content = .{ .ptr = &part, .len = 1 };
    var conversation = std.mem.zeroes(wasmlx.types_conversation_t);
    conversation.messages = .{ .ptr = &message, .len = 1 };
    conversation.add_generation_prompt = true;
    wasmlx.wasmlx_string_set(&conversation.options, "{}");
    var prompt: wasmlx.templates_list_segment_t = undefined;
    if (!wasmlx.templates_render(&conversation, &prompt, err)) return false;
    defer wasmlx.templates_list_segment_free(&prompt);
    var read: wasmlx.contexts_prompt_info_t = undefined;
    // Each interface has list types of its own, which are all alike.
    return wasmlx.contexts_method_context_prompt(context, @ptrCast(&prompt), &read, err);
}

/// Prints the model's answer as it comes.
fn answer(generation: wasmlx.contexts_borrow_generation_t, err: *wasmlx.types_error_t) bool {
    var said = false;
    while (true) {
        var event: wasmlx.contexts_option_generation_event_t = undefined;
        if (!wasmlx.contexts_method_generation_next(generation, &event, err)) return false;
        if (!event.is_some) return true;
        defer wasmlx.contexts_generation_event_free(&event.val);
        if (!show(&event.val, &said, err)) return false;
    }
}

/// Prints what an event says; `said` is whether there was anything so far.
fn show(event: *wasmlx.contexts_generation_event_t, said: *bool, err: *wasmlx.types_error_t) bool {
    if (event.tag == wasmlx.CONTEXTS_GENERATION_EVENT_FINISHED) {
        if (said.*) return print(if (event.val.finished.reason == wasmlx.TYPES_FINISH_REASON_LENGTH) " [cut]\n" else "\n", err);
        err.tag = wasmlx.TYPES_ERROR_MODEL_FAILED;
        wasmlx.wasmlx_string_dup(&err.val.model_failed, "the model said nothing");
        return false;
    }
    const output = &event.val.output;
    // Reasoning is not for the user, and no tool was offered.
    if (output.tag != wasmlx.TYPES_OUTPUT_CONTENT) return true;
    said.* = true;
    return wasmlx.console_print(&output.val.content, err);
}

fn print(text: [*:0]const u8, err: *wasmlx.types_error_t) bool {
    var string: wasmlx.wasmlx_string_t = undefined;
    wasmlx.wasmlx_string_set(&string, text);
    return wasmlx.console_print(&string, err);
}
