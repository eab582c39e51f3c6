//go:build !linux

package agentcmd

import "github.com/hostler-project/hostler/remote/process"

func trackDescendants(*process.Options, string) error { return nil }
