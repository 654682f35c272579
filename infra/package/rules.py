"""What a package holds, what it leaves out, and how large it may be."""

from __future__ import annotations

from fnmatch import fnmatchcase

SERVICES = ("dynamodb", "kms", "s3", "secretsmanager", "sqs")
"""The AWS services that a function calls: of the others botocore's descriptions stay at home (26 of its 30 MB)."""

DROPPED = (
    # Comes with quotequail for mail in HTML, which no function gives it: only its plain text is asked.
    "lxml/*",
    "lxml-*",
    # cryptography needs cffi's compiled half alone.
    "cffi/*",
    "pycparser/*",
    "pycparser-*",
    # Of powertools a function has the logger and the metrics.
    "aws_lambda_powertools/event_handler/*",
    "aws_lambda_powertools/utilities/auth_alpha/*",
    "aws_lambda_powertools/utilities/data_classes/*",
    "aws_lambda_powertools/utilities/idempotency/*",
    "aws_lambda_powertools/utilities/parser/*",
    # For people and compilers.
    "bin/*",
    "*.data/*",
    "*/tests/*",
    "*.pyi",
    "*.pxd",
    "*.h",
    "*.c",
    "*/py.typed",
    # Bytecode of this machine: the package gets its own.
    "*/__pycache__/*",
    "__pycache__/*",
    "*.pyc",
    # Of a distribution its name, version and licence stay: scanners of the account look for them.
    "*.dist-info/RECORD",
    "*.dist-info/WHEEL",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
    "*.dist-info/top_level.txt",
    "*.dist-info/entry_points.txt",
)
FORBIDDEN = (
    "boto3/*",
    "moto/*",
    "pytest/*",
    "pydantic/*",
    "tests/*",
    "infra/*",
    "bench/*",
    "docs/*",
    ".chalice/*",
    ".git/*",
)
"""What has no place there at all: found, it stops the build, because it came by a mistake."""

ZIP_LIMIT = 50_000_000
"""Lambda's, for an archive that is sent to it; and for what is in it, unpacked."""
UNZIPPED_LIMIT = 250_000_000
ZIP_BUDGET = 20_000_000
"""Ours: somebody who passes it should know why."""
UNZIPPED_BUDGET = 60_000_000


def kept(name: str) -> bool:
    if name.startswith("botocore/data/") and name.count("/") > 2:
        return name.split("/")[2] in SERVICES
    return not any(fnmatchcase(name, each) for each in DROPPED)


def forbidden(name: str) -> bool:
    return any(fnmatchcase(name, each) for each in FORBIDDEN)


def owner(name: str) -> str:
    """The row of the table that a file counts for."""
    top = name.partition("/")[0].partition("-")[0].removesuffix(".py")
    if top.startswith("_cffi_backend"):
        return "cffi"
    return {"six": "dateutil", "python_dateutil": "dateutil", "phonenumberslite": "phonenumbers"}.get(top, top)
