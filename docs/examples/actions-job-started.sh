#!/bin/sh
# ACTIONS_RUNNER_HOOK_JOB_STARTED of a GitHub Actions runner: takes an instance for the job, and tells the job's steps its name in HOSTLER_INSTANCE.
# HOSTLER_SOURCE, in the runner's .env, says from which source.
set -eu
name="actions-$GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT-$(printf '%s-%s' "$GITHUB_JOB" "${RUNNER_NAME:-runner}" | tr -c 'A-Za-z0-9_.-' _)"
instance=$(hostler acquire -s "${HOSTLER_SOURCE:-sandbox}" --name "$name" --ttl "${HOSTLER_TTL:-6h}" --wait "${HOSTLER_WAIT:-1h}" \
	--purpose "$GITHUB_REPOSITORY $GITHUB_WORKFLOW $GITHUB_RUN_ID" -l "repository=$GITHUB_REPOSITORY")
echo "HOSTLER_INSTANCE=$instance" >>"$GITHUB_ENV"
echo "The job has $instance."
