package proxycmd

import (
	"net/http"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/web"
)

// masterHandler is all that a master answers. Pages of other sites in a browser cannot ask it.
func masterHandler(m *master.Master, who func(*http.Request) (access.Who, error), ending <-chan struct{}) http.Handler {
	return http.NewCrossOriginProtection().Handler(web.New(m, web.Options{Who: who, Ending: ending}))
}
