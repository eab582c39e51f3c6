package master

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/slap"
)

// noneFound takes what is not there, or is not for who asks, for nothing found.
func noneFound(err error) error {
	if refusal, ok := errors.AsType[*Refusal](err); ok && (refusal.Kind == compute.ErrNotFound || refusal.Kind == compute.ErrDenied) {
		return nil
	}
	return err
}

// segment is a name as it stands in a path. A path's own two names stand for none: see relativeURL.
func segment(name string) string {
	return strings.ReplaceAll(url.PathEscape(name), "+", "%2B") // which some read as a space
}

// relativeURL is where the document of a tree is: by its title, as the reference has it, or where
// that would not find it by its ID.
func (h *hypermedia) relativeURL(who Who, n *slap.InstanceRecord) string {
	byID := hateoas + "instances/" + n.ID
	if n.Title == "." || n.Title == ".." || n.Owner != who.User || n.Project != who.Project {
		return byID
	}
	if n.Shared {
		other := false
		_ = h.master.read(func(b book) error { // the memory's look-ups do not fail
			same, err := b.named(rootName(who.User, who.Project, n.Title, false))
			other = same != nil
			return err
		})
		if other {
			return byID
		}
	}
	return hateoas + "partitions/" + segment(n.Title)
}

// titled are the roots that somebody has of a title: at most a shared one and another, which comes
// first.
func (m *Master) titled(ctx context.Context, who Who, title string) ([]*Listed, error) {
	return m.list(ctx, func(mem *memory) (all []*slap.InstanceRecord, err error) {
		for _, shared := range []bool{false, true} {
			n, err := mem.named(rootName(who.User, who.Project, title, shared))
			if err != nil {
				return nil, err
			}
			if n != nil && who.holds(n) == nil {
				all = append(all, n)
			}
		}
		return all, nil
	})
}

// members are all instances of the trees of some roots.
func (m *Master) members(ctx context.Context, who Who, roots []*Listed, err error) (all []*Listed, _ error) {
	for _, root := range roots {
		some, err := m.Members(ctx, who, root.Record.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, err
}

// stateOf is the state that was asked for; a shared instance has none.
func stateOf(n *Listed) string {
	if n.Record.Shared {
		return "unused"
	}
	return n.State
}

func rootSlave(n *Listed) int {
	if n.Record.Shared {
		return 1
	}
	return 0
}

func kindOf(n *Listed) string {
	if n.Record.Shared {
		return "Slave Instance"
	}
	return "Software Instance"
}

func computerTitle(c *slap.ComputerRecord) string { return cmp.Or(c.Title, c.GUID) }

// answerForm writes a document of a kind of thing, with its fields.
func answerForm(w http.ResponseWriter, kind string, fields map[string]slap.FormField) error {
	var form slap.Form
	form.Embedded.View, form.Links.Type.Name = fields, kind
	return answerJSON(w, http.StatusOK, form)
}

func (h *hypermedia) treeForm(w http.ResponseWriter, r *http.Request, who Who) error {
	title := r.PathValue("title")
	roots, err := h.master.titled(r.Context(), who, title)
	if err != nil {
		return err
	}
	if len(roots) == 0 {
		return refuse(compute.ErrNotFound, "No instance tree %s found.", title)
	}
	return answerForm(w, slap.QueryTrees, instanceFields(roots[0], "InstanceTree_viewAsHateoas"))
}

func (h *hypermedia) instanceForm(w http.ResponseWriter, r *http.Request, who Who) error {
	n, err := h.master.Find(r.Context(), who, r.PathValue("guid"))
	if err != nil {
		return err
	}
	if n.Record.Root == n.Record.ID {
		return answerForm(w, slap.QueryTrees, instanceFields(n, "InstanceTree_viewAsHateoas"))
	}
	return answerForm(w, kindOf(n), instanceFields(n, "SoftwareInstance_viewAsHateoas"))
}

func instanceFields(n *Listed, form string) map[string]slap.FormField {
	fields := map[string]slap.FormField{
		"form_id":       {Key: "form_id", Default: form, Type: "StringField"},
		"my_root_slave": {Key: "field_my_root_slave", Default: rootSlave(n), Type: "IntegerField"},
	}
	text := func(name string, value any) {
		fields["my_"+name] = slap.FormField{Key: "field_my_" + name, Default: value, Type: "StringField"}
	}
	text("reference", n.Record.Title)
	text("slap_state", stateOf(n))
	text("text_content", n.Record.Parameters)
	text("connection_parameter_list", nil)
	if n.Record.Connection != "" {
		text("connection_parameter_list", n.Record.Connection)
	}
	text("url_string", n.Release)
	text("source_reference", n.Type)
	if n.Partition == "" && n.Record.Reason != "" {
		text("allocation_error", n.Record.Reason) // ours
	}
	return fields
}

func (h *hypermedia) computerForm(w http.ResponseWriter, r *http.Request, who Who) error {
	c, err := h.master.owned(r.Context(), who, r.PathValue("guid"))
	if err != nil {
		return err
	}
	return answerForm(w, "Computer", map[string]slap.FormField{
		"form_id":      {Key: "computer", Default: c.GUID, Type: "StringField"},
		"my_reference": {Key: "reference", Default: c.GUID, Type: "StringField"},
		"my_title":     {Key: "reference", Default: computerTitle(c), Type: "StringField"},
	})
}

func (h *hypermedia) releaseForm(w http.ResponseWriter, r *http.Request, who Who) error {
	guid, of := r.PathValue("guid"), r.PathValue("url")
	supplies, err := h.master.Supplies(r.Context(), who, guid)
	if err != nil {
		return err
	}
	for _, s := range supplies {
		if s.URL == of {
			fields := map[string]slap.FormField{"form_id": {
				Key: "form_id", Default: "SoftwareInstallation_viewAsHateoas", Type: "StringField",
			}}
			for name, value := range map[string]string{"reference": s.Computer + "-" + s.URL, "slap_state": s.State, "url_string": s.URL} {
				fields["my_"+name] = slap.FormField{Key: "field_my_" + name, Default: value, Type: "StringField"}
			}
			return answerForm(w, slap.QueryReleases, fields)
		}
	}
	return refuse(compute.ErrNotFound, "The release %s is not wanted on %s.", of, guid)
}
