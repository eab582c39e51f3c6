//go:build !linux

package runcmd

import (
	"context"

	"github.com/hostler-project/hostler/compute"
)

// examineNetwork: there are no sandboxes here.
func ExamineNetwork(context.Context) []compute.Finding { return nil }

func RunAnswers(string, string, string) int { return 1 }
