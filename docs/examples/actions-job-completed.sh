#!/bin/sh
# ACTIONS_RUNNER_HOOK_JOB_COMPLETED of a GitHub Actions runner: gives the job's instance back, if there is one.
set -eu
name="actions-$GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT-$(printf '%s-%s' "$GITHUB_JOB" "${RUNNER_NAME:-runner}" | tr -c 'A-Za-z0-9_.-' _)"
hostler release "$name" || {
	status=$?
	if [ $status != 5 ] && [ $status != 6 ]; then exit $status; fi # 5, 6: none was taken, or its time is over
}
