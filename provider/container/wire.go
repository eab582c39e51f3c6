package container

// The parts of the Engine API's bodies that are used, under the API's names.

type mount struct {
	Type     string
	Source   string
	Target   string
	ReadOnly bool
}

type ulimit struct {
	Name string
	Soft int64
	Hard int64
}

type binding struct {
	HostIP   string `json:"HostIp"`
	HostPort string
}

type hostConfig struct {
	NetworkMode  string               `json:",omitempty"`
	PortBindings map[string][]binding `json:",omitempty"`
	NanoCpus     int64                `json:",omitempty"`
	Memory       int64                `json:",omitempty"`
	MemorySwap   int64                `json:",omitempty"`
	PidsLimit    int64                `json:",omitempty"`
	StorageOpt   map[string]string    `json:",omitempty"`
	Mounts       []mount              `json:",omitempty"`
	Ulimits      []ulimit             `json:",omitempty"`

	CapAdd, CapDrop []string          `json:",omitempty"`
	SecurityOpt     []string          `json:",omitempty"`
	ReadonlyRootfs  bool              `json:",omitempty"`
	Tmpfs           map[string]string `json:",omitempty"`
	Runtime         string            `json:",omitempty"`
	UsernsMode      string            `json:",omitempty"`
}

type createRequest struct {
	Image        string
	Hostname     string `json:",omitempty"`
	User         string `json:",omitempty"`
	Env          []string
	Entrypoint   []string
	Cmd          []string
	Labels       map[string]string
	ExposedPorts map[string]struct{} `json:",omitempty"`
	OpenStdin    bool
	Healthcheck  *healthcheck `json:",omitempty"`
	HostConfig   hostConfig
}

type healthcheck struct{ Test []string }

// inspection is what an engine knows of a container.
type inspection struct {
	ID      string `json:"Id"`
	Image   string // the image's digest
	Created string
	State   struct {
		// created, running, paused, restarting, removing, exited, dead; podman: stopped,
		// configured, ... too
		Status    string
		Running   bool
		Paused    bool
		OOMKilled bool
		ExitCode  int
		Error     string
		Pid       int
	}
	Config struct {
		Image  string
		User   string
		Labels map[string]string
	}
	NetworkSettings struct {
		IPAddress string
		Ports     map[string][]binding
		Networks  map[string]struct{ IPAddress string }
	}
}

// networkRequest is the request to Docker for a network.
type networkRequest struct {
	Name           string
	CheckDuplicate bool
	Driver         string
	Labels         map[string]string
	Options        map[string]string
}

// podNetwork is the request to Podman, which would otherwise look names up on this machine.
type podNetwork struct {
	Name   string            `json:"name"`
	Driver string            `json:"driver"`
	Link   string            `json:"network_interface"`
	DNS    bool              `json:"dns_enabled"`
	Labels map[string]string `json:"labels"`
}

// listed is an engine's entry of a container in a list.
type listed struct {
	ID     string `json:"Id"`
	Names  []string
	Image  string
	State  string
	Labels map[string]string
	Ports  []struct {
		IP          string
		PrivatePort int
		PublicPort  int
		Type        string
	}
	ImageID         string
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

// imageInfo is what an engine knows of an image.
type imageInfo struct {
	ID           string `json:"Id"`
	RepoDigests  []string
	Architecture string
	Os           string
	Size         int64
	Config       struct {
		Entrypoint []string
		Cmd        []string
		Env        []string
		User       string
	}
}
