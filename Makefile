# hostler: `make run` shows it at work, `make test` checks all of it. Needs go, git and make; `make test` installs the rest as root.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  = -s -w -X github.com/hostler-project/hostler/host/version.Number=$(VERSION)
SEEDS   ?= 10000
TESTS   ?= ./...

.PHONY: build agents page manifests run run-slapos test bench simulate man deps fmt vet staticcheck cross race clean

build: bin/hostler

# Always asked: go itself knows best what is new. hostlerd comes with it: docs/decisions/0001-processes.md.
.PHONY: bin/hostler
bin/hostler: agents
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/hostler ./cmd/hostlerd

# The guest side, for the machines that hostler makes or is let into; the README there says more. Only what has changed is packed again.
AGENTS = host/agents
agents:
	@for arch in amd64 arm64; do \
		GOOS=linux GOARCH=$$arch CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/hostler-agent-$$arch ./cmd/hostler-agent || exit 1; \
		name=$(AGENTS)/linux-$$arch-$$(($$(wc -c <bin/hostler-agent-$$arch)))-$$(sha256sum bin/hostler-agent-$$arch | cut -c 1-64).gz; \
		if [ -e $$name ]; then continue; fi; \
		rm -f $(AGENTS)/linux-$$arch-*.gz && gzip -9 -n -c bin/hostler-agent-$$arch >$$name.new && mv $$name.new $$name || exit 1; \
	done

# The controller's page, from controller/web/ui, with packages of npm. What comes of it, controller/web/dist, is in the tree: hostler is built without npm.
page:
	$(GO) run -C tools ./webpage

# The plain manifests, of the Helm chart, by Helm's own engine. What comes of it is in the tree.
manifests:
	CGO_ENABLED=0 $(GO) run -C tools ./chart ../packaging/helm/hostler ../packaging/kubernetes

run: bin/hostler
	@docs/first-session bin/hostler

# A SlapOS of one's own: master, node, page.
run-slapos: bin/hostler
	@docs/first-slapos bin/hostler

test: deps agents fmt vet staticcheck cross race

# What the tests need beside Go, by the names of Debian and Ubuntu. Whoever is not root gets a line and sees the tests skip by name.
NPM      = $(if $(shell command -v npm),,nodejs npm) # nodejs of other makers has npm in it, and would go for that of Debian
PACKAGES = gcc libc6-dev systemd mmdebstrap busybox-static openssh-client util-linux procps nftables iproute2 python3-minimal \
	crun docker.io podman conmon containernetworking-plugins uidmap iptables xz-utils bzip2 zstd e2fsprogs strace gdb \
	qemu-system-x86 qemu-utils genisoimage cpio socat postgresql prometheus ansible-core rsync openssh-sftp-server chromium fonts-dejavu-core cloud-init \
	pypy3 python3-zc.buildout python3-setuptools $(NPM)
deps:
	@missing=; for p in $(PACKAGES); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then echo "not installed, so some tests are skipped:$$missing"; exit 0; fi; \
	case " $$missing " in *" cloud-init "*) mkdir -p /etc/cloud && : >>/etc/cloud/cloud-init.disabled;; esac; : here it checks what we write, and is to do nothing to this machine; \
	echo "installing$$missing"; apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing

fmt:
	@wrong=$$(gofmt -l .); if [ -n "$$wrong" ]; then echo "gofmt -w these:"; echo "$$wrong"; exit 1; fi

# Without C, as hostler is released: what is compiled for these two is then what the tests build their programs of, and all of it is compiled once less.
vet staticcheck: export CGO_ENABLED = 0
vet:
	$(GO) vet ./...

staticcheck:
	$(GO) tool -modfile=tools/go.mod staticcheck ./...

# The other machines that hostler is for: all of it, tests too, type-checked and vetted as for them. Nothing is compiled for that.
cross:
	@CGO_ENABLED=0 $(GO) build -C tools -o ../bin/crosscheck ./crosscheck
	bin/crosscheck linux/arm64 darwin/arm64

# All tests. IMPORTS is checked by the one in the root. Three packages at a time, for two processors: the labs are heavy, and wait. What takes longest begins first. No vet:
# that has been. The time-out is for all: a package's own time has in it how long a new machine takes to get its OpenStack up. A few that fail are run again, and named as unsteady.
# RACE: SQLite is C that was translated: the detector makes it 20 times slower, and nothing of ours is to be found there.
# -s -w: a third of the time to link 140 programs, and the detector finds the lines without it.
# GORACE: what is built with the detector sleeps for a second at its end otherwise, and the tests start thousands.
race: export GORACE ?= atexit_sleep_ms=0
RACE = -race -ldflags='-s -w' $(foreach p,modernc.org/sqlite/lib modernc.org/libc/... modernc.org/memory,-gcflags=$(p)=-race=false)
LONG = $(if $(filter ./...,$(TESTS)),./cmd/hostlerd ./provider/vm ./provider/ironic ./provider/openstack/... ./pool ./provider/sandbox ./remote/sshconn)
race:
	@$(GO) list -C auth/signin/testdata/provider -deps . >/dev/null # the tests that build it may have no network
	@$(GO) list -C tools -deps ./chart >/dev/null # likewise
	@CGO_ENABLED=0 $(GO) build -C tools -o ../bin/testreport ./testreport
	{ $(GO) test $(RACE) -vet=off -count=1 -p 3 -timeout 30m -json $(LONG) $(TESTS); $(if $(filter ./...,$(TESTS)),CGO_ENABLED=0 $(GO) test -vet=off -count=1 -json -run "FailingDisk|SimulateBent" ./store/sqlite ./pool/pooltest;) } | bin/testreport $(GO) test $(RACE) -vet=off -timeout 20m

# The tables with the ratios of SPECIFICATION.md. -p 1: nobody measures beside another.
bench:
	$(GO) test -run '^$$' -bench . -p 1 -timeout 60m $(TESTS)

simulate:
	HOSTLER_SEEDS=$(SEEDS) $(GO) test ./pool/... -run Simulat -count=1 -timeout 24h -v

man: bin/hostler
	rm -rf dist/man dist/completion; mkdir -p dist/man dist/completion
	bin/hostler docs man dist/man
	for s in bash zsh fish powershell; do bin/hostler completion $$s >dist/completion/hostler.$$s || exit 1; done

clean:
	rm -rf bin dist $(AGENTS)/*.gz
