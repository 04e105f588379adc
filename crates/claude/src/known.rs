//! Which line types and members of the stream are known, so that what is new is seen.
//!
//! From the streams that were recorded with the oldest and the newest tested version, and from the vendor's type file for
//! the newest. Nothing is done by these names: a name that is missing here costs a count in the log.

use std::collections::BTreeMap;

use crate::line::Line;

/// Most names that are counted of one task.
const NAMES_LIMIT: usize = 32;
/// Longest name that is shown, bytes.
const NAME_BYTES: usize = 64;

/// Types of lines; of a `system` line with its subtype. Sorted.
const TYPES: &[&str] = &[
    "active_goal",
    "assistant",
    "auth_status",
    "conversation_reset",
    "keep_alive",
    "prompt_suggestion",
    "rate_limit_event",
    "result",
    "stream_event",
    "system/api_retry",
    "system/background_tasks_changed",
    "system/commands_changed",
    "system/compact_boundary",
    "system/control_request_progress",
    "system/elicitation_complete",
    "system/files_persisted",
    "system/hook_progress",
    "system/hook_response",
    "system/hook_started",
    "system/informational",
    "system/init",
    "system/local_command_output",
    "system/memory_recall",
    "system/mirror_error",
    "system/model_refusal_fallback",
    "system/model_refusal_no_fallback",
    "system/notification",
    "system/permission_denied",
    "system/plugin_install",
    "system/session_state_changed",
    "system/session_writes_lost",
    "system/status",
    "system/task_notification",
    "system/task_progress",
    "system/task_started",
    "system/task_updated",
    "system/thinking_tokens",
    "system/worker_shutting_down",
    "tool_progress",
    "tool_use_summary",
    "user",
];

/// Members of a line, of whatever type, that are known and of no use here. Sorted.
const MEMBERS: &[&str] = &[
    "aborted",
    "additional_directories",
    "agent_id",
    "agents",
    "analytics_disabled",
    "api_error_params",
    "api_refusal_category",
    "api_refusal_explanation",
    "betas",
    "capabilities",
    "client_composed",
    "color",
    "commands",
    "compact_error",
    "compact_metadata",
    "compact_result",
    "content",
    "context_usage",
    "credential_expires_at",
    "cwd",
    "decision_reason",
    "decision_reason_type",
    "deferred_tool_use",
    "description",
    "direction",
    "duration_api_ms",
    "duration_ms",
    "effort",
    "elapsed_time_seconds",
    "elicitation_id",
    "error_code",
    "estimated_tokens",
    "estimated_tokens_delta",
    "event",
    "exit_code",
    "failed",
    "fallback_model",
    "fast_mode_disabled_reason",
    "fast_mode_state",
    "file_attachments",
    "files",
    "first_content_frame_ms",
    "first_stream_post_ack_ms",
    "first_stream_post_ms",
    "first_stream_post_queue_wait_ms",
    "first_stream_post_queued_behind",
    "first_stream_post_wall_ms",
    "first_text_post_ms",
    "first_text_post_queue_wait_ms",
    "first_text_post_queued_behind",
    "first_text_post_wall_ms",
    "heartbeat",
    "hook_event",
    "hook_name",
    "inline_pastes",
    "invalid_config_file",
    "isAuthenticating",
    "isReplay",
    "isSynthetic",
    "is_api_error_message",
    "key",
    "last_tool_name",
    "level",
    "local_command",
    "local_command_outcome",
    "local_command_run",
    "local_command_source",
    "lost",
    "mcp_server_errors",
    "mcp_server_name",
    "mcp_servers",
    "memories",
    "memory_paths",
    "message",
    "messaging_socket_path",
    "mode",
    "modelUsage",
    "model_usage_since_last_result",
    "name",
    "new_conversation_id",
    "no_response",
    "origin",
    "original_cwd",
    "original_model",
    "outcome",
    "output",
    "output_file",
    "output_style",
    "owned_by_subagent",
    "parent_task_id",
    "parent_tool_use_id",
    "pasted_content",
    "patch",
    "per_turn_effort_active",
    "permissionMode",
    "permission_denials",
    "plugin_errors",
    "plugin_warnings",
    "plugins",
    "preceding_tool_use_ids",
    "prevent_continuation",
    "priority",
    "processed_at",
    "product_feedback_disabled",
    "prompt",
    "queued_turn_count",
    "rate_limit_info",
    "reason",
    "refusal_retry",
    "refused_message_id",
    "refused_user_message_uuid",
    "request_id",
    "request_sent_wall_ms",
    "resource_links",
    "result_index",
    "resume_reason",
    "resumed_from_incomplete_thinking",
    "retracted_message_uuids",
    "run_id",
    "safety_stops",
    "sandbox_enabled",
    "scope",
    "scratchpad_path",
    "served_by_anthropic",
    "shouldQuery",
    "skills",
    "slash_commands",
    "spawn_depth",
    "startup_mark",
    "state",
    "stderr",
    "stdout",
    "subagent_retry",
    "subagent_stats",
    "subagent_type",
    "suggestion",
    "summary",
    "summary_is_report",
    "supersedes",
    "tag",
    "task_description",
    "tasks",
    "terminal_slash_commands",
    "text",
    "time_origin_ms",
    "time_to_request_from_spawn_ms",
    "time_to_request_ms",
    "timeout_ms",
    "timestamp",
    "tool_name",
    "tool_result_meta",
    "tool_use_id",
    "tool_use_result",
    "tools",
    "transcript_session_ids",
    "trigger",
    "ttft_ms",
    "ttft_stream_ms",
    "ultrathink_available",
    "ultrathink_typed_raises",
    "usage_report",
    "user_message_uuid",
    "user_message_uuids",
    "uuid",
    "value",
    "view_mode",
    "warm_spare_claimed",
    "workflow_name",
];

/// Whether a member of a line is known, though of no use here.
pub(crate) fn is_member(name: &str) -> bool {
    MEMBERS.binary_search(&name).is_ok()
}

/// How often what is not known came, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unknown {
    names: BTreeMap<String, u64>,
}

impl Unknown {
    /// Looks at the names of a line.
    pub(crate) fn line(&mut self, line: &Line<'_>, kind: &str, subtype: Option<&str>) {
        let name = match subtype.filter(|_| kind == "system") {
            Some(subtype) => format!("system/{subtype}"),
            None => kind.to_owned(),
        };
        let is_known = TYPES.binary_search(&name.as_str()).is_ok();
        if !is_known {
            // Its members are as new as it is.
            return self.count(&name);
        }
        for member in line.unknown_members() {
            self.count(&format!("{name}.{member}"));
        }
    }

    pub(crate) fn names(&self) -> &BTreeMap<String, u64> {
        &self.names
    }

    fn count(&mut self, name: &str) {
        let name = &name[..name.floor_char_boundary(NAME_BYTES)];
        if let Some(count) = self.names.get_mut(name) {
            *count = count.saturating_add(1);
        } else if self.names.len() < NAMES_LIMIT {
            self.names.insert(name.to_owned(), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_as_they_are_searched() {
        assert!(TYPES.is_sorted());
        assert!(MEMBERS.is_sorted());
    }

    #[test]
    fn only_so_many_names_are_counted_and_each_is_cut() {
        let mut unknown = Unknown::default();
        for number in 0..1_000 {
            unknown.count(&format!("{number}{}", "é".repeat(100)));
            unknown.count("0");
        }
        assert_eq!(unknown.names().len(), NAMES_LIMIT);
        assert!(unknown.names().keys().all(|name| name.len() <= NAME_BYTES));
        assert_eq!(unknown.names()["0"], 1_000);
    }
}
