//! Min-p sampling (arXiv:2407.01082), by `step`: a token stays if it is at least `min_p` times as likely as the best
//! one, and of those that stay one is drawn.
//!
//! Each call on the logits only adds to what the device will compute. Nothing is read, so `step` is over before the
//! device has the scores, and the policy costs next to nothing.
//!
//! `wasmlx component build` makes the module `wasmlx`: the types and functions of the interfaces in WIT. Who owns what:
//! strings and lists that a function is given are its own to free; what it returns must come of the C allocator, and
//! the host frees it.

const std = @import("std");
const wasmlx = @import("wasmlx");
const parameters = @import("parameters.zig");

/// Nobody would read the message of a panic: it traps.
pub const panic = std.debug.no_panic;

const allocator = std.heap.c_allocator;

/// One request's policy.
const Policy = parameters.Parameters;

/// Memory that runs out is a panic: the host ends the turn.
fn parse(params: *wasmlx.wasmlx_string_t) parameters.Parsed {
    defer wasmlx.wasmlx_string_free(params);
    return parameters.parse(allocator, params.ptr[0..params.len]) catch @panic("out of memory");
}

/// Makes a sentence, which the host frees, an error; false, as functions that failed return.
fn invalidInput(sentence: []u8, err: *wasmlx.types_error_t) bool {
    err.tag = wasmlx.TYPES_ERROR_INVALID_INPUT;
    err.val = .{ .invalid_input = .{ .ptr = sentence.ptr, .len = sentence.len } };
    return false;
}

/// Not a plan, but what is wrong with the parameters is best said before the first token.
export fn exports_policy_plan(
    params: *wasmlx.wasmlx_string_t,
    plan: *wasmlx.exports_policy_option_list_op_t,
    err: *wasmlx.types_error_t,
) bool {
    plan.is_some = false;
    return switch (parse(params)) {
        .parameters => true,
        .wrong => |sentence| invalidInput(sentence, err),
    };
}

export fn exports_policy_static_policy_open(
    params: *wasmlx.wasmlx_string_t,
    policy: *wasmlx.exports_policy_own_policy_t,
    err: *wasmlx.types_error_t,
) bool {
    switch (parse(params)) {
        .parameters => |known| {
            const opened = allocator.create(Policy) catch @panic("out of memory");
            opened.* = known;
            policy.* = wasmlx.exports_policy_policy_new(@ptrCast(opened));
            return true;
        },
        .wrong => |sentence| return invalidInput(sentence, err),
    }
}

export fn exports_policy_policy_destructor(policy: *Policy) void {
    allocator.destroy(policy);
}

export fn exports_policy_method_policy_max_backtrack(_: *Policy) u32 {
    return 0;
}

export fn exports_policy_method_policy_step(
    policy: *Policy,
    info: *wasmlx.exports_policy_step_info_t,
    own_logits: wasmlx.logits_own_logits_t,
    choice: *wasmlx.exports_policy_choice_t,
    err: *wasmlx.types_error_t,
) bool {
    wasmlx.exports_policy_step_info_free(info);
    defer wasmlx.logits_logits_drop_own(own_logits);
    choice.tag = wasmlx.EXPORTS_POLICY_CHOICE_TOKEN;
    choice.val = .{ .token = undefined };
    return choose(policy, wasmlx.logits_borrow_logits(own_logits), &choice.val.token, err);
}

fn choose(
    policy: *const Policy,
    logits: wasmlx.logits_borrow_logits_t,
    token: *wasmlx.logits_own_sampled_t,
    err: *wasmlx.types_error_t,
) bool {
    if (!wasmlx.logits_method_logits_min_p(logits, policy.min_p, 1, err)) return false;
    if (policy.temperature == 0) return wasmlx.logits_method_logits_argmax(logits, token, err);
    return wasmlx.logits_method_logits_scale(logits, 1 / policy.temperature, err) and
        wasmlx.logits_method_logits_sample(logits, token, err);
}

/// There is nothing to save: all that a request knows is its parameters, which `restore` is given again.
export fn exports_policy_method_policy_save(_: *Policy, saved: *wasmlx.types_saved_t) void {
    saved.* = .{ .version = 1 };
}

export fn exports_policy_static_policy_restore(
    params: *wasmlx.wasmlx_string_t,
    saved: *wasmlx.types_saved_t,
    policy: *wasmlx.exports_policy_own_policy_t,
    err: *wasmlx.types_error_t,
) bool {
    const version = saved.version;
    wasmlx.types_saved_free(saved);
    if (version == 1) return exports_policy_static_policy_open(params, policy, err);
    wasmlx.wasmlx_string_free(params);
    const message = "min-p reads saved states of version 1, not {d}";
    return invalidInput(std.fmt.allocPrint(allocator, message, .{version}) catch @panic("out of memory"), err);
}
