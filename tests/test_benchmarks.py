"""prep.report.benchmarks: time and memory of jobs by rule."""

from pathlib import Path

import pytest

from prep.report.benchmarks import sum_benchmarks

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"


def write_benchmark(folder: Path, name: str, seconds: str, peak: str, cpu: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}\n{seconds}\t0:00:01\t{peak}\t1\t1\t1\t0\t0\t50\t{cpu}\n", encoding="utf-8")


def test_jobs_of_a_rule_are_summed_and_the_longest_rule_comes_first(tmp_path: Path) -> None:
    write_benchmark(tmp_path, "convert_llava/CC3M/a.tsv", "60", "200.5", "90")
    write_benchmark(tmp_path, "convert_llava/CC3M/b.tsv", "120", "100", "90")
    write_benchmark(tmp_path, "assemble_artifact/llavaonevision_converted/x.tsv", "3600", "50", "36")
    assembled, converted = sum_benchmarks(tmp_path)
    assert (assembled.rule, assembled.jobs, assembled.seconds) == ("assemble_artifact", 1, 3600)
    assert (converted.rule, converted.jobs, converted.seconds) == ("convert_llava", 2, 180)
    assert (converted.longest, converted.peak, converted.cpu_seconds) == (120, 200.5, 180)


def test_a_job_that_ended_before_it_was_measured_counts_with_its_time(tmp_path: Path) -> None:
    write_benchmark(tmp_path, "render_text/00000.tsv", "0.2", "NA", "NA")
    (cost,) = sum_benchmarks(tmp_path)
    assert (cost.jobs, cost.longest, cost.peak, cost.cpu_seconds) == (1, 0.2, None, None)


@pytest.mark.parametrize("content", [b"", b"no benchmark", HEADER.encode(), b"s\n-\n", b"\xff\xfe\x00"])
def test_what_is_no_benchmark_is_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "render_text").mkdir()
    (tmp_path / "render_text" / "00000.tsv").write_bytes(content)
    assert sum_benchmarks(tmp_path) == []


def test_there_may_be_no_benchmarks(tmp_path: Path) -> None:
    assert sum_benchmarks(tmp_path / "none") == []
