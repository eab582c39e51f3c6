package usercmd

import (
	"context"
	"fmt"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
)

// serviceView is `slapos service info --json`.
type serviceView struct {
	Title      string            `json:"title"`
	Release    string            `json:"release"`
	Type       string            `json:"type"`
	Shared     bool              `json:"shared"`
	State      string            `json:"state"`
	Parameters map[string]string `json:"parameters"`
	Connection map[string]string `json:"connection"`
	Status     string            `json:"status"`
	Reason     string            `json:"reason,omitempty"`
	Error      string            `json:"error,omitempty"`
	News       []string          `json:"news,omitempty"`
}

// oldServiceView is the same as SlapOS's own command prints it.
type oldServiceView struct {
	Release    string            `json:"software-url"`
	Type       string            `json:"software-type"`
	Shared     bool              `json:"shared"`
	State      string            `json:"requested-state"`
	Parameters map[string]string `json:"instance-parameters"`
	Connection map[string]string `json:"connection-parameters"`
	Status     string            `json:"status"`
	Reason     string            `json:"allocation-error,omitempty"` // not SlapOS's, like the next
	Error      string            `json:"error,omitempty"`
	News       *[]string         `json:"news,omitempty"`
}

// serviceInfo prints a service: what was asked for, how it stands, and with news what its
// instances say.
func serviceInfo(ctx context.Context, s *session.Session, title string, news bool) error {
	got, err := findForm(ctx, s, hypermedia.QueryTrees, "title", title)
	if err != nil {
		return err
	}
	if got == nil {
		return s.NotKnown("service", title, "hostler slapos service list shows all")
	}
	v := serviceView{Title: title, Release: field(got, "url_string"), Type: field(got, "source_reference"), State: field(got, "slap_state")}
	switch shared := got["root_slave"].(type) {
	case bool:
		v.Shared = shared
	case float64:
		v.Shared = shared != 0
	}
	parameters, err := proto.ParseParameters(field(got, "text_content"))
	if err != nil {
		return fmt.Errorf("parameters of %s: %w", title, err)
	}
	if v.Parameters, err = texts(parameters); err != nil {
		return err
	}
	if v.Connection, err = connectionOf(got["connection_parameter_list"]); err != nil {
		return fmt.Errorf("connection parameters of %s: %w", title, err)
	}
	var told string
	if v.Reason = field(got, "allocation_error"); v.Reason != "" { // only a hostler master has it
		v.Status, told = "red", "#error no place: "+v.Reason
	} else if v.Status, told, err = serviceStatus(ctx, s, title); err != nil {
		return err
	}
	if v.Reason == "" && v.Status == "red" {
		v.Error = trouble(told)
	}
	if news && told != "" {
		v.News = []string{told}
	}
	if s.App.JSON {
		return s.App.PrintJSON(v)
	}
	old := oldServiceView{v.Release, v.Type, v.Shared, v.State, v.Parameters, v.Connection, v.Status, v.Reason, v.Error, nil}
	if news {
		if old.News = &v.News; v.News == nil {
			old.News = &[]string{}
		}
	}
	return s.App.PrintJSON(old)
}

// field is a text of what the hypermedia API answers.
func field(of map[string]any, name string) string {
	text, _ := of[name].(string)
	return text
}

// connectionOf reads connection parameters as a form has them: a document <instance>, or a list of
// keys and values.
func connectionOf(v any) (map[string]string, error) {
	if text, ok := v.(string); ok {
		d, err := proto.ParseParameters(text)
		if err != nil {
			return nil, err
		}
		return texts(d)
	}
	out := map[string]string{}
	list, _ := v.([]any)
	for _, pair := range list {
		if pair, ok := pair.(map[string]any); ok {
			out[field(pair, "connection_key")] = field(pair, "connection_value")
		}
	}
	return out, nil
}
