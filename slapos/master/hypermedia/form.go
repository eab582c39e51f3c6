package hypermedia

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
	"github.com/hostler-project/hostler/slapos/record"
)

// noneFound turns "not there" and "not for this caller" into an empty result.
func noneFound(err error) error {
	refusal, refused := errors.AsType[*access.Refusal](err)
	if refused && (refusal.Kind == compute.ErrNotFound || refusal.Kind == compute.ErrDenied) {
		return nil
	}
	return err
}

// segment is a name as it stands in a path. A path's own two names stand for none: see relativeURL.
func segment(name string) string {
	return strings.ReplaceAll(url.PathEscape(name), "+", "%2B") // which some read as a space
}

// relativeURL is the path of a tree's document: by its title, as the reference has it, or by its ID
// if the title does not find it.
func (h *documents) relativeURL(who access.Who, n *record.Instance) string {
	byID := wire.HateoasPath + "instances/" + n.ID
	if n.Title == "." || n.Title == ".." || n.Owner != who.User || n.Project != who.Project {
		return byID
	}
	if n.Shared {
		if h.master.Instances.HasRoot(who, n.Title) {
			return byID
		}
	}
	return wire.HateoasPath + "partitions/" + segment(n.Title)
}

// members are all instances of the trees of some roots.
func (h *documents) members(
	ctx context.Context, who access.Who, roots []*master.ListedInstance, err error,
) (all []*master.ListedInstance, _ error) {
	for _, root := range roots {
		some, err := h.master.Instances.Members(ctx, who, root.Record.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, err
}

// stateOf is the state that was asked for; a shared instance has none.
func stateOf(n *master.ListedInstance) string {
	if n.Record.Shared {
		return "unused"
	}
	return n.State
}

func rootSlave(n *master.ListedInstance) int {
	if n.Record.Shared {
		return 1
	}
	return 0
}

func kindOf(n *master.ListedInstance) string {
	if n.Record.Shared {
		return "Slave Instance"
	}
	return "Software Instance"
}

func computerTitle(c *record.Computer) string { return cmp.Or(c.Title, c.GUID) }

// answerForm writes a document of a kind of thing, with its fields.
func answerForm(w http.ResponseWriter, kind string, fields map[string]hypermedia.FormField) error {
	var form hypermedia.Form
	form.Embedded.View, form.Links.Type.Name = fields, kind
	return wire.AnswerJSON(w, http.StatusOK, form)
}

func (h *documents) treeForm(w http.ResponseWriter, r *http.Request, who access.Who) error {
	title := r.PathValue("title")
	roots, err := h.master.Instances.Titled(r.Context(), who, title)
	if err != nil {
		return err
	}
	if len(roots) == 0 {
		return access.Refuse(compute.ErrNotFound, "No instance tree %s found.", title)
	}
	return answerForm(w, hypermedia.QueryTrees, instanceFields(roots[0], "InstanceTree_viewAsHateoas"))
}

func (h *documents) instanceForm(w http.ResponseWriter, r *http.Request, who access.Who) error {
	n, err := h.master.Instances.Find(r.Context(), who, r.PathValue("guid"))
	if err != nil {
		return err
	}
	if n.Record.Root == n.Record.ID {
		return answerForm(w, hypermedia.QueryTrees, instanceFields(n, "InstanceTree_viewAsHateoas"))
	}
	return answerForm(w, kindOf(n), instanceFields(n, "SoftwareInstance_viewAsHateoas"))
}

func instanceFields(n *master.ListedInstance, form string) map[string]hypermedia.FormField {
	fields := map[string]hypermedia.FormField{
		"form_id":       {Key: "form_id", Default: form, Type: "StringField"},
		"my_root_slave": {Key: "field_my_root_slave", Default: rootSlave(n), Type: "IntegerField"},
	}
	text := func(name string, value any) {
		fields["my_"+name] = hypermedia.FormField{Key: "field_my_" + name, Default: value, Type: "StringField"}
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

func (h *documents) computerForm(w http.ResponseWriter, r *http.Request, who access.Who) error {
	c, err := h.master.Computers.Owned(r.Context(), who, r.PathValue("guid"))
	if err != nil {
		return err
	}
	return answerForm(w, "Computer", map[string]hypermedia.FormField{
		"form_id":      {Key: "computer", Default: c.GUID, Type: "StringField"},
		"my_reference": {Key: "reference", Default: c.GUID, Type: "StringField"},
		"my_title":     {Key: "reference", Default: computerTitle(c), Type: "StringField"},
	})
}

// releaseForm answers with the form of a release that is wanted on a computer, or with
// ErrNotFound.
func (h *documents) releaseForm(w http.ResponseWriter, r *http.Request, who access.Who) error {
	guid, of := r.PathValue("guid"), r.PathValue("url")
	supplies, err := h.master.Computers.Supplies(r.Context(), who, guid)
	if err != nil {
		return err
	}
	for _, s := range supplies {
		if s.URL == of {
			fields := map[string]hypermedia.FormField{"form_id": {
				Key: "form_id", Default: "SoftwareInstallation_viewAsHateoas", Type: "StringField",
			}}
			for name, value := range map[string]string{"reference": s.Computer + "-" + s.URL, "slap_state": s.State, "url_string": s.URL} {
				fields["my_"+name] = hypermedia.FormField{Key: "field_my_" + name, Default: value, Type: "StringField"}
			}
			return answerForm(w, hypermedia.QueryReleases, fields)
		}
	}
	return access.Refuse(compute.ErrNotFound, "The release %s is not wanted on %s.", of, guid)
}
