package session

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
)

// aliases returns the aliases of the configuration, for completion.
func (s *Session) aliases() (out cli.Candidates) {
	c, err := s.Configuration()
	if err != nil {
		return nil
	}
	for _, a := range c.Aliases {
		out = append(out, cobra.CompletionWithDesc(a.Name, a.URL))
	}
	return out
}

// Patience is how long completion waits for the master.
const Patience = 3 * time.Second

// found returns candidates for completion: a field of all objects of a kind, described by another
// field.
func (s *Session) found(cmd *cobra.Command, kind, field, beside string) (out cli.Candidates) {
	if s.App.Begin(cmd) != nil {
		return nil
	}
	master, err := s.Master()
	if err != nil {
		return nil
	}
	defer master.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), Patience)
	defer cancel()
	all, err := master.Hypermedia().Search(ctx, hypermedia.Query{Kind: kind}, field, beside)
	if err != nil {
		return nil
	}
	for _, thing := range all {
		name, _ := thing[field].(string)
		more, _ := thing[beside].(string)
		out = append(out, cobra.CompletionWithDesc(name, more))
	}
	return out
}

func (s *Session) Computers(cmd *cobra.Command) cli.Candidates {
	return s.found(cmd, hypermedia.QueryComputers, "reference", "title")
}

// Releases returns the aliases and the requested software, for completion. If title is not "", only
// the instance of that title counts.
func (s *Session) Releases(cmd *cobra.Command, title string) cli.Candidates {
	out := s.aliases()
	seen := map[string]bool{}
	for _, pair := range s.found(cmd, hypermedia.QueryTrees, "url_string", "title") {
		url, of, _ := strings.Cut(pair, "\t")
		if title == of && title != "" {
			return cli.Candidates{url}
		}
		if url != "" && !seen[url] {
			seen[url] = true
			out = append(out, url)
		}
	}
	return out
}

func (s *Session) Services(cmd *cobra.Command) cli.Candidates {
	return s.found(cmd, hypermedia.QueryTrees, "title", "url_string")
}
