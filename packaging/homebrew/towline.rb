# The formula for a tap (`brew tap`, `brew install towline`). A release fills in `homepage`, `url` and `sha256`: there is no public address yet,
# and none is made up here. Until then: `brew install --HEAD` from a checkout whose path is in HOMEBREW_TOWLINE_SOURCE.
class Towline < Formula
  desc "Keeps a directory on an FTPS server equal to a directory on this machine"
  license any_of: ["MIT", "Apache-2.0"]
  head "file://#{ENV.fetch("HOMEBREW_TOWLINE_SOURCE", "/nonexistent/towline")}", using: :git, branch: "main"

  depends_on "rust" => :build
  # Directories are read through Linux's own system call, for now.
  depends_on :linux

  def install
    system "cargo", "install", "--no-default-features", "--features", "aws-lc-rs", *std_cargo_args
    system bin/"towline", "man", "--out", man1
    generate_completions_from_executable(bin/"towline", "completions", shells: [:bash, :zsh, :fish])
    pkgshare.install "config/towline.example.toml", "config/towline.schema.json"
    pkgshare.install "packaging/prometheus", "packaging/grafana"
  end

  service do
    run [opt_bin/"towline", "run"]
    # Anew when it fails, not when it was told to end.
    keep_alive successful_exit: false
    process_type :background
    log_path var/"log/towline.log"
    error_log_path var/"log/towline.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/towline --version") unless head?
    (testpath/"towline.toml").write <<~TOML
      [remote.web]
      host = "ftp.example.com"
      user = "deploy"
      password = { env = "WEB_PASS" }

      [[mirror]]
      name = "site"
      source = "#{testpath}"
      remote = "web"
      path = "/htdocs"
    TOML
    assert_match "configuration is right", shell_output("#{bin}/towline --config #{testpath}/towline.toml check")
    # A wrong configuration is told from a right one.
    (testpath/"towline.toml").append_lines "nonsense = 1"
    shell_output("#{bin}/towline --config #{testpath}/towline.toml check", 78)
  end
end
