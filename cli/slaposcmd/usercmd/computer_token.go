package usercmd

import (
	"context"
	"errors"
	"strings"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// tokenView is `slapos computer token --json`.
type tokenView struct {
	Token string `json:"token"`
}

// computerToken prints a token to register a new computer with, or a known one again.
func computerToken(ctx context.Context, s *session.Session, of []string) error {
	master, err := s.Master()
	if err != nil {
		return err
	}
	token, err := master.Hypermedia().ComputerTokenFor(ctx, strings.Join(of, ""))
	if errors.Is(err, client.ErrNotFound) && len(of) > 0 {
		return &compute.Error{
			Kind: compute.ErrFailed, Err: errors.New("this master gives no tokens for computers that there are already"),
			Hint: "its administrator, or generateComputerCertificate, gives another certificate",
		}
	}
	if errors.Is(err, client.ErrNotFound) {
		return &compute.Error{
			Kind: compute.ErrFailed, Err: errors.New("this master gives no tokens"),
			Hint: "a computer of a master without certificates needs none: it is there once its node has said what it is",
		}
	} else if err != nil {
		return err
	}
	if s.App.JSON {
		return s.App.PrintJSON(tokenView{token})
	}
	return term.Printf(s.App.Out, "%s\n", term.Line(token))
}
