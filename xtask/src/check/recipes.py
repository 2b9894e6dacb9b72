"""Tries the recipes of docs/ci.md, and has the reports that they leave read by the parsers of others.

recipes.py REPOSITORY FARM: FARM is the folder that contrib/ci/vng/run.sh was given. In the recipes that are tried here,
a stand-in takes the place of krcu: it hands out the reports of that run, and ends with its status.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import junitparser
import yaml
from kcidb_io.schema import V5_3
from tap.parser import Parser as TapParser

REPOSITORY, FARM = (Path(argument).resolve() for argument in sys.argv[1:3])
RECIPES = REPOSITORY / "contrib/ci"
# What the modules say of themselves: the exit of krcu_pending leaves its frees to the destroy, which waits on 6.12;
# krcu_leak leaves objects that nobody queues.
TRUTH = {
    "krcu_pending.krcu_pending": "pass",
    "krcu_leak.krcu_leak": "fail",
    "krcu.the command succeeded": "pass",
    "krcu.a cache was destroyed": "pass",
    "krcu.every destroy was seen": "pass",
}
STAND_IN = """#!/bin/sh
farm='{farm}'
print=
while [ $# -gt 0 ]; do
    case $1 in
    --also) case $2 in
        junit=*) cp "$farm/krcu.xml" "${{2#*=}}" ;;
        ktap=*) cp "$farm/krcu.ktap" "${{2#*=}}" ;;
        esac; shift ;;
    --report) cp "$farm/krcu.txt" "$2"; shift ;;
    --format) print="$farm/krcu.$2"; shift ;;
    --) break ;;
    esac
    shift
done
echo "what the command says: ok 1"
[ -z "$print" ] || cat "$print"
exit "$(cat "$farm/status")"
"""


def expect(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: {found!r}, and it should be {expected!r}")
    print(f"{what}: as it should be")


RESULT = re.compile(r"(ok|not ok) (\d+)(?: ([^#]*?))?(?: # (\S+)(?: .*)?)?$")


def ktap(lines, indent=""):
    """The results of one level, by the rules of Documentation/dev-tools/ktap.rst; what the level has below it, by name."""
    if not lines or lines.pop(0) != f"{indent}KTAP version 1":
        sys.exit("a level of KTAP does not begin with its version")
    # The name of a subtest may stand before its plan, as kunit prints it.
    while lines and lines[0].startswith(f"{indent}# "):
        lines.pop(0)
    plan = re.fullmatch(re.escape(indent) + r"1\.\.(\d+)", lines.pop(0))
    results, below = {}, None
    while lines:
        line = lines[0]
        if line == f"{indent}  KTAP version 1":
            below = ktap(lines, indent + "  ")
            continue
        if not line.startswith(indent) or line == f"{indent[2:]}KTAP version 1":
            break
        result = RESULT.fullmatch(line[len(indent):])
        if result is None:
            # Diagnostic and unknown lines tell no result. The line of a result above is less indented.
            if indent and RESULT.fullmatch(line[len(indent) - 2:]):
                break
            if line.startswith(f"{indent}1.."):
                sys.exit(f"a plan for the second time: {line}")
            lines.pop(0)
            continue
        lines.pop(0)
        went, number, name, directive = result.groups()
        if int(number) != len(results) + 1 or name in results:
            sys.exit(f"a number is out of order, or a name is there twice: {line}")
        if below is not None and (went == "ok") != all(result[0] for result in below.values()):
            sys.exit(f"{line}: and that does not follow from what is below it")
        results[name] = (went == "ok" or directive == "SKIP", directive, below)
        below = None
    if plan is None or int(plan.group(1)) != len(results):
        sys.exit(f"the plan does not say how many results there are: {len(results)}")
    return results


def cases(text):
    """The cases of a KTAP text of krcu: MODULE.NAME and how it went."""
    found = {}
    for module, (_, _, below) in ktap(text.splitlines()).items():
        for name, (passed, directive, _) in below.items():
            word = {"SKIP": "skip", "ERROR": "unknown"}.get(directive, "pass" if passed else "fail")
            found[f"{module}.{name}"] = word
    return found


def the_reports():
    expect("KTAP, by the kernel's rules", cases((FARM / "krcu.ktap").read_text()), TRUTH)
    found = {}
    for suite in junitparser.JUnitXml.fromfile(str(FARM / "krcu.xml")):
        expect("JUnit, host of the suite", bool(suite.hostname and suite.timestamp), True)
        for case in suite:
            found[f"{case.classname}.{case.name}"] = "pass" if case.is_passed else "fail"
    expect("JUnit, by junitparser", {name.removeprefix("krcu.") if name.count(".") > 1 else name: went
                                     for name, went in found.items()}, TRUTH)
    found = {}
    for line in TapParser().parse_file(str(FARM / "krcu.tap")):
        if line.category == "test":
            found[line.description.removeprefix("- ")] = "skip" if line.skip else "pass" if line.ok else "fail"
    expect("TAP, by tap.py", found, TRUTH)
    document = json.loads((FARM / "krcu.kcidb.json").read_text())
    V5_3.validate(document)
    tests = {test["path"]: test["status"] for test in document["tests"] if test["path"] != "krcu"}
    words = {"PASS": "pass", "FAIL": "fail"}
    plain = {f"krcu.{name}".replace("krcu.krcu.", "krcu.").replace(" ", "_"): went for name, went in TRUTH.items()}
    expect("KCIDB, by kcidb-io", {path: words[status] for path, status in tests.items()}, plain)


def run(command, folder, path, **environment):
    environment = {"PATH": f"{path}:{os.environ['PATH']}", "HOME": "/root", **environment}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def kselftest(folder, stand_in, without):
    """A test as the runner of kselftest calls it: what it prints stands behind `# `, and its status is the result."""
    def called(path, **environment):
        status, text = run(["./krcu.sh"], RECIPES / "kselftest", path, **environment)
        result = {0: "ok 1", 4: "ok 1 # SKIP"}.get(status, f"not ok 1 # exit={status}")
        return result, [f"# {line}" for line in text.splitlines()]
    result, lines = called(stand_in, KRCU_COMMAND="true")
    expect("kselftest, the result", result, "not ok 1 # exit=10")
    nested = [line[2:] for line in lines if line != "# what the command says: ok 1"]
    expect("kselftest, the cases in it", cases("\n".join(nested)), TRUTH)
    expect("kselftest, nothing to run", called(stand_in)[0], "ok 1 # SKIP")
    expect("kselftest, no krcu", called(without, KRCU_COMMAND="true")[0], "ok 1 # SKIP")
    makefile = (RECIPES / "kselftest/Makefile").read_text()
    expect("kselftest, the list of tests", re.findall(r"TEST_PROGS := (.*)", makefile), ["krcu.sh"])


def lava(folder, stand_in):
    """The steps of the definition, run as LAVA does: one shell, with the parameters as variables."""
    definition = yaml.safe_load((RECIPES / "lava/krcu.yaml").read_text())
    told = folder / "told"
    case = stand_in / "lava-test-case"
    case.write_text(f'#!/bin/sh\necho "$1 $3" >>{told}\n')
    case.chmod(0o755)
    work = folder / "work/contrib/ci/lava"
    work.mkdir(parents=True)
    for name in ("run.sh", "report.sh"):
        (work / name).write_text((RECIPES / "lava" / name).read_text())
        (work / name).chmod(0o755)
    script = "\n".join(definition["run"]["steps"])
    status, text = run(["sh", "-c", script], folder / "work", stand_in, **definition["params"])
    expect("LAVA, the steps", (status, "LEAKED" in text), (0, True))
    plain = {name.replace(" ", "_"): went for name, went in TRUTH.items()} | {"krcu.report": "pass"}
    expect("LAVA, the cases", dict(line.split() for line in told.read_text().splitlines()), plain)
    told.unlink()
    cut = folder / "cut.ktap"
    cut.write_text((FARM / "krcu.ktap").read_text()[:400])
    run([str(RECIPES / "lava/report.sh"), str(cut)], folder, stand_in)
    expect("LAVA, a report that is cut off", told.read_text().splitlines()[-1], "krcu.report fail")
    told.unlink()
    run([str(RECIPES / "lava/report.sh"), "absent"], folder, stand_in)
    expect("LAVA, no report", told.read_text(), "krcu.report fail\n")


def tuxlava(folder):
    """The job that tuxrun makes of the recipe's command line, as far as it can be had without a machine of LAVA's."""
    for name in ("vmlinuz", "root.ext4.xz", "krcu.tar.xz"):
        (folder / name).write_bytes(b"stands for the file")
    blocks = re.findall(r"```\n(tuxrun .*?)```", (REPOSITORY / "docs/ci.md").read_text(), re.S)
    expect("tuxrun, blocks of the document", len(blocks), 1)
    words = blocks[0].replace("\\\n", " ").replace("tuxrun --runtime docker", "tuxlava --lava-definition")
    text = words.replace("file:///", f"file://{folder}/")
    status, job = run(["sh", "-c", text], folder, Path(sys.executable).parent)
    expect("tuxrun, the status", (status, job if status else ""), (0, ""))
    test = next(action["test"] for action in yaml.safe_load(job)["actions"] if "test" in action)
    steps = test["definitions"][0]["repository"]["run"]["steps"]
    expect("tuxrun, what is run", steps, ["lava-test-case command --shell /krcu/run.sh"])


def github(folder, stand_in):
    """The action's step, run as a runner does; its form and the workflow's, by their schemas."""
    for schema, name in (("github-actions", "action.yml"), ("github-workflows", "workflow.yml")):
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
        status, text = run([*command, str(RECIPES / "github" / name)], folder, stand_in)
        expect(f"GitHub, {name} by its schema", (status, text if status else ""), (0, ""))
    action = yaml.safe_load((RECIPES / "github/action.yml").read_text())
    step = action["runs"]["steps"][0]
    values = {name: value.get("default", "true") for name, value in action["inputs"].items()}
    environment = {
        name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: values[found.group(1)], value)
        for name, value in step["env"].items()
    }
    expect("GitHub, inputs in the script itself", "${{" in step["run"], False)
    summary, output = folder / "summary", folder / "output"
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    files = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(output)}
    status, text = run(command, folder, stand_in, **environment, **files)
    expect("GitHub, the status", status, 10)
    expect("GitHub, the output", output.read_text(), "status=10\n")
    expect("GitHub, the summary and the error", ("LEAKED" in summary.read_text(), "::error title=krcu::" in text),
           (True, True))
    expect("GitHub, the report", cases((folder / "krcu-reports/krcu.ktap").read_text()), TRUTH)


def cluster(folder, stand_in):
    """The compose file of a fleet's cluster, by its schema."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    status, text = run([*command, str(REPOSITORY / "contrib/fleet/compose.yaml")], folder, stand_in)
    expect("the fleet's compose.yaml by its schema", (status, text if status else ""), (0, ""))


def the_document():
    text = (REPOSITORY / "docs/ci.md").read_text()
    files = [str(path.relative_to(REPOSITORY)) for path in sorted(RECIPES.rglob("*")) if path.is_file()]
    expect("files that the document does not name", [name for name in files if name not in text], [])


def main():
    the_document()
    the_reports()
    expect("vng, the status", (FARM / "status").read_text().strip(), "10")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stand_in, without = folder / "bin", folder / "empty"
        stand_in.mkdir()
        without.mkdir()
        (stand_in / "krcu").write_text(STAND_IN.format(farm=FARM))
        (stand_in / "krcu").chmod(0o755)
        kselftest(folder, stand_in, without)
        lava(folder, stand_in)
        github(folder, stand_in)
        cluster(folder, stand_in)
        tuxlava(folder)


main()
